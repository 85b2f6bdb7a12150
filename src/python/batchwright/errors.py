"""What is wrong with a dataset, and what to do."""


class DatasetError(Exception):
    """A dataset that is torn, foreign, half copied or not made for what is asked. Names the file and says what to do."""

    def __init__(self, path, problem: str, remedy: str):
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = path
