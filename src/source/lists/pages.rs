//! Pages of lists of numbers, as those of a flat column, and where in it the lists begin.

use std::sync::{Arc, Mutex, MutexGuard};

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::Result as ParquetResult;

use super::levels::{Definitions, PageLevels};

/// The lists of the pages so far that were not taken yet. Ordinals of numbers count from the first list's.
#[derive(Default)]
pub struct Found {
    starts: Vec<usize>,
    valid: Vec<bool>,
    /// Numbers of the pages.
    numbers: usize,
    /// Lists that may still be found.
    wanted: usize,
    /// Whether the pages ended, or were given up: then the list that came last may lack numbers.
    pub ended: bool,
    given_up: bool,
}

/// Whole lists.
pub struct Taken {
    /// And the end of the last.
    pub starts: Vec<usize>,
    pub valid: Vec<bool>,
}

impl Found {
    /// None yet, of so many that are wanted.
    pub fn of(wanted: usize) -> Self {
        Found { wanted, ..Found::default() }
    }

    /// How many numbers to read after `read` of them to get to the next page, while fewer than `wanted` lists are whole.
    pub fn beyond(&self, wanted: usize, read: usize) -> Option<usize> {
        (!self.ended && self.starts.len() <= wanted).then_some(self.numbers + 1 - read)
    }

    /// Up to `wanted` lists; `None` if there is none.
    pub fn take(&mut self, wanted: usize) -> Option<Taken> {
        let whole = if self.given_up { self.starts.len().saturating_sub(1) } else { self.starts.len() };
        let lists = wanted.min(whole);
        let end = self.starts.get(lists).copied().unwrap_or(self.numbers);
        if lists == 0 || self.starts[0] != 0 {
            return None;
        }
        let mut starts: Vec<usize> = self.starts.drain(..lists).collect();
        starts.push(end);
        self.starts.iter_mut().for_each(|start| *start -= end);
        self.numbers -= end;
        Some(Taken { starts, valid: self.valid.drain(..lists).collect() })
    }

    /// Takes in the lists of a page; gives the page with nothing but numbers, or `None` without any.
    fn add(&mut self, page: &Page, definitions: Definitions) -> Option<Option<Page>> {
        let (levels, numbers) = split(page)?;
        let lists = levels.lists(definitions, self.wanted + 1)?;
        self.wanted -= lists.starts.len().min(self.wanted);
        self.starts.extend(lists.starts.iter().map(|start| self.numbers + start));
        self.valid.extend(lists.valid);
        self.numbers += lists.numbers;
        let flat = |num_values| Page::DataPage {
            buf: page.buffer().slice(page.buffer().len() - numbers..),
            num_values,
            encoding: page.encoding(),
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        Some(u32::try_from(lists.numbers).ok().filter(|numbers| *numbers > 0).map(flat))
    }
}

pub fn locked(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(|p| p.into_inner())
}

/// The levels of a data page, and the length of what is behind them; `None` where they are encoded in the way of old, or cut.
fn split(page: &Page) -> Option<(PageLevels<'_>, usize)> {
    let number = page.num_values() as usize;
    let (repetitions, definitions, numbers) = match page {
        Page::DataPage { buf, rep_level_encoding: Encoding::RLE, def_level_encoding: Encoding::RLE, .. } => {
            let sized = |bytes: &'_ [u8]| -> Option<(usize, usize)> {
                let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
                Some((4, 4usize.checked_add(length)?)).filter(|(_, end)| *end <= bytes.len())
            };
            let (start, end) = sized(buf)?;
            let (repetitions, rest) = (&buf[start..end], &buf[end..]);
            let (start, end) = sized(rest)?;
            (repetitions, &rest[start..end], rest.len() - end)
        }
        Page::DataPageV2 { buf, rep_levels_byte_len, def_levels_byte_len, .. } => {
            let (repetitions, rest) = buf.split_at_checked(*rep_levels_byte_len as usize)?;
            let (definitions, numbers) = rest.split_at_checked(*def_levels_byte_len as usize)?;
            (repetitions, definitions, numbers.len())
        }
        _ => return None,
    };
    Some((PageLevels { number, repetitions, definitions }, numbers))
}

/// Pages of lists as those of a required column of numbers.
pub struct Numbers<P> {
    pub pages: P,
    pub definitions: Definitions,
    pub found: Arc<Mutex<Found>>,
}

impl<P: PageReader> Iterator for Numbers<P> {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for Numbers<P> {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let mut found = locked(&self.found);
        while !found.given_up {
            let Some(page) = self.pages.get_next_page()? else { return Ok(None) };
            if page.is_dictionary_page() {
                return Ok(Some(page));
            }
            match found.add(&page, self.definitions) {
                Some(Some(numbers)) => return Ok(Some(numbers)),
                Some(None) => {}
                None => found.given_up = true,
            }
        }
        Ok(None)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }
}
