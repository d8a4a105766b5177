"""docs/health.md has the words that are really said."""
from pathlib import Path

from mesh.health import verdict

PAGE = (Path(__file__).parents[2] / "docs" / "health.md").read_text()


def test_the_page_names_every_reason():
    said = {verdict.words(code) for code in range(1, verdict.FAILED + 1)} - {verdict.words(verdict.NO_SOCKET)}
    assert [words for words in said if f"`{words}`" not in PAGE] == []
