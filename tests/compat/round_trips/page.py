"""The table of docs/S3-COMPATIBILITY.md."""

import time

from harness.settings import REPO

from .excused import EXCUSED

PAGE = REPO / "docs/S3-COMPATIBILITY.md"
BEGIN, END = "<!-- tests/compat/clients -->", "<!-- end of tests/compat/clients -->"
HEAD = "| client | version | what was done | result |\n|---|---|---|---|\n"


def line(result):
    """One client's row of the printed table."""
    if result.skipped:
        return f"{result.client:20} skipped: {result.skipped}"
    count = len(result.passed) + len(result.failed)
    return f"{result.client:20} {result.version:24} {len(result.passed)} of {count}"


def row(result):
    """One client's row of the page."""
    if result.skipped:
        return f"| {result.client} | – | – | skipped: {result.skipped} |"
    done = "; ".join([*result.passed, *result.failed])
    said = [f"{len(result.passed)} of {len(result.passed) + len(result.failed)}"]
    said += [f"{title}: {EXCUSED.get((result.client, title), '**fails**')}" for title in result.failed]
    said += [f"not done: {title} ({needs})" for title, needs in result.left_out.items()]
    return f"| {result.client} | {result.version} | {done} | {'; '.join(said)} |"


def write(results):
    """Replaces the rows of the clients that ran; those of others stay."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN, 1)
    old, after = rest.split(END, 1)
    lines = [each for each in old.splitlines() if each.startswith("| ") and "| version |" not in each]
    rows = {each.split("|")[1].strip(): each for each in lines}
    rows |= {result.client: row(result) for result in results}
    said = f"Last run on {time.strftime('%Y-%m-%d')}.\n\n"
    body = "\n".join(rows.values())
    PAGE.write_text(f"{before}{BEGIN}\n{said}{HEAD}{body}\n{END}{after}")
