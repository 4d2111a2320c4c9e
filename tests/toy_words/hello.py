from toys import WORDS


@WORDS.register("hello", version=1)
def hello(*, times: int = 1) -> str:
    """Say hello."""
    return "hello " * times
