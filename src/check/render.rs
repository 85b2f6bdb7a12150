//! Results of a check: for people, for programs, for CI systems.

use super::{Checked, Level};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Text,
    Json,
    Junit,
    Github,
}

pub fn render(results: &[Checked], dataset: &str, style: Style) -> String {
    let unmet = || results.iter().filter_map(|r| r.problem.as_ref().map(|p| (r, p)));
    match style {
        Style::Text => {
            let met = |r: &Checked| {
                let was = r.baseline.map_or_else(String::new, |value| format!(", was {value}"));
                format!("ok: {}: it is {}{was}", r.metric, r.value.unwrap_or_default())
            };
            let line = |r: &Checked| match &r.problem {
                Some(problem) => format!("{}: {}: {problem}", word(r.level), r.metric),
                None => met(r),
            };
            let mut lines: Vec<String> = results.iter().map(line).collect();
            lines.push(format!("{} of {} expectations are met", results.len() - unmet().count(), results.len()));
            lines.join("\n")
        }
        Style::Json => serde_json::to_string_pretty(&results).unwrap_or_default(),
        Style::Github => {
            let level = |l: Level| if l == Level::Error { "error" } else { "warning" };
            let escape = |s: &str| s.replace('%', "%25").replace('\n', "%0A");
            let line = |(r, p): (&Checked, &String)| {
                format!("::{} title=batchwright {}::{}: {}", level(r.level), r.metric, escape(dataset), escape(p))
            };
            unmet().map(line).collect::<Vec<_>>().join("\n")
        }
        Style::Junit => {
            let failures = unmet().filter(|(r, _)| r.level == Level::Error).count();
            let mut out = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"batchwright check {}\" tests=\"{}\" failures=\"{failures}\">\n",
                escape_xml(dataset),
                results.len()
            );
            for r in results {
                out.push_str(&format!("  <testcase name=\"{}\" classname=\"batchwright\"", escape_xml(&r.metric)));
                match (&r.problem, r.level) {
                    (None, _) => out.push_str("/>\n"),
                    (Some(p), Level::Error) => {
                        out.push_str(&format!(">\n    <failure message=\"{}\"/>\n  </testcase>\n", escape_xml(p)));
                    }
                    (Some(p), Level::Warn) => {
                        out.push_str(&format!(">\n    <system-out>{}</system-out>\n  </testcase>\n", escape_xml(p)));
                    }
                }
            }
            out + "</testsuite>"
        }
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
    }
}

/// Text inside XML or HTML.
pub fn escape_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if (c as u32) < 0x20 && c != '\n' && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}
