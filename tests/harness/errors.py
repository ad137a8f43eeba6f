"""What S3 says of an error: one well-formed document with the elements that AWS's has."""

import xml.etree.ElementTree as ET
from urllib.parse import unquote


def document(answer, path=None):
    """The elements of an error's document; fails where it is not one, or not one of this request's."""
    assert answer.headers.get("content-type") == "application/xml", (answer.status, answer.headers, answer.body[:300])
    root = ET.fromstring(answer.body)
    assert root.tag == "Error", answer.body
    found = {element.tag: element.text or "" for element in root}
    assert len(found) == len(root), f"an element twice: {answer.body}"
    for name in ("Code", "Message", "Resource", "RequestId", "HostId"):
        assert found.get(name), f"no {name}: {answer.body}"
    assert found["RequestId"] == answer.headers["x-amz-request-id"]
    assert found["HostId"] == answer.headers["x-amz-id-2"]
    if path is not None:
        assert unquote(found["Resource"]) == unquote(path), found
    assert "pinfold" not in found["Message"].lower() and "s3s" not in found["Message"].lower(), found
    return found


def refusal(answer, status, code, **elements):
    """The answer is this error. Elements by name: a text that must be in theirs (`Message="5 GiB"`)."""
    found = document(answer)
    assert (answer.status, found["Code"]) == (status, code), (answer.status, answer.body)
    for name, text in elements.items():
        assert text in found.get(name, ""), f"{name} must say {text!r}: {answer.body}"
    return found
