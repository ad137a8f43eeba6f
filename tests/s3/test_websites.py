"""Websites: configurations, and the host names at which they are served."""

import pytest

from harness import s3 as s3c
from harness import settings
from harness.node import Node
from harness.rawhttp import Raw
from harness.s3 import refused

DOMAIN = "web.pinfold.test"
SITE = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "error.html"},
    "RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/", "HttpRedirectCode": "302"}},
        {"Condition": {"HttpErrorCodeReturnedEquals": "403", "KeyPrefixEquals": "secret/"}, "Redirect": {"HostName": "x.test"}},
    ],
}


def test_configurations_are_kept(s3, bucket):
    with refused("NoSuchWebsiteConfiguration", status=404):
        s3.get_bucket_website(Bucket=bucket)
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=SITE)
    got = s3.get_bucket_website(Bucket=bucket)
    assert {k: v for k, v in got.items() if k != "ResponseMetadata"} == SITE
    s3.delete_bucket_website(Bucket=bucket)
    with refused("NoSuchWebsiteConfiguration", status=404):
        s3.get_bucket_website(Bucket=bucket)
    with refused("NoSuchBucket", status=404):
        s3.put_bucket_website(Bucket=s3c.fresh_name("none"), WebsiteConfiguration=SITE)


@pytest.mark.parametrize(
    ("site", "code"),
    [
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
        ({"ErrorDocument": {"Key": "e"}}, "MalformedXML"),
        ({"RedirectAllRequestsTo": {"HostName": "h"}, "IndexDocument": {"Suffix": "i"}}, "MalformedXML"),
        ({"RedirectAllRequestsTo": {"HostName": "h", "Protocol": "ftp"}}, "InvalidRequest"),
        ({"IndexDocument": {"Suffix": "i"}, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "306"}}]}, "InvalidRequest"),
        ({"IndexDocument": {"Suffix": "i"}, "RoutingRules": [{"Redirect": {"HostName": "h"}}] * 51}, "InvalidRequest"),
    ],
)
def test_what_is_no_configuration(s3, bucket, site, code):
    with refused(code, status=400):
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=site)


@pytest.fixture(scope="module")
def web():
    """A node that serves websites."""
    with Node("web", mount=False, env={settings.ENV_WEBSITE_DOMAIN: DOMAIN}) as node:
        yield node


@pytest.fixture
def site(web):
    """A bucket that is a site; and `visit(path)`."""
    s3 = s3c.client(web.endpoint)
    name = s3c.fresh_name("site")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_website(Bucket=name, WebsiteConfiguration=SITE)
    raw = Raw("127.0.0.1", web.s3_port)

    def visit(path, method="GET", host=f"{name}.{DOMAIN}:8080", **headers):
        return raw.send(method, path, {"host": host} | headers)

    visit.s3, visit.bucket = s3, name
    return visit


@pytest.mark.pinfold
def test_a_site_redirects(site):
    answer = site("/old/a%20b?x=1")
    assert (answer.status, answer.body) == (302, b"")
    assert answer.headers["location"] == f"http://{site.bucket}.{DOMAIN}:8080/new/a%20b?x=1"
    everything = {"RedirectAllRequestsTo": {"HostName": "other.test", "Protocol": "https"}}
    site.s3.put_bucket_website(Bucket=site.bucket, WebsiteConfiguration=everything)
    answer = site("/any/where?q")
    assert (answer.status, answer.headers["location"]) == (301, "https://other.test/any/where?q")


@pytest.mark.pinfold
def test_a_site_shows_only_what_is_public(site):
    """Nothing here is: neither the page nor the error's own page, and an error is a page, not XML."""
    for key in ("index.html", "error.html", "secret/k"):
        site.s3.put_object(Bucket=site.bucket, Key=key, Body=b"private")
    for path in ("/", "/index.html", "/none"):
        answer = site(path)
        assert answer.status == 403 and b"private" not in answer.body
        assert answer.headers["x-amz-error-code"] == "AccessDenied"
        assert answer.headers["content-type"].startswith("text/html") and b"<li>Code: AccessDenied</li>" in answer.body
        assert answer.headers["x-amz-request-id"].encode() in answer.body
    answer = site("/secret/k")
    assert (answer.status, answer.headers["location"]) == (301, "http://x.test/secret/k"), "by the error's rule"


@pytest.mark.pinfold
def test_hosts_that_are_no_site(site):
    answer = site("/", host=f"a.b.{DOMAIN}")
    assert (answer.status, answer.headers["location"]) == (301, f"http://{DOMAIN}/")
    assert site("/", host=f"{s3c.fresh_name('none')}.{DOMAIN}").headers["x-amz-error-code"] == "NoSuchBucket"
    site.s3.delete_bucket_website(Bucket=site.bucket)
    assert site("/").headers["x-amz-error-code"] == "NoSuchWebsiteConfiguration"
    assert site("/", host="127.0.0.1").code == "AccessDenied", "the S3 endpoint, as ever"


@pytest.mark.pinfold
def test_what_a_site_does_not_do(site):
    for method in ("PUT", "POST", "DELETE"):
        answer = site("/k", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS"), method
    assert site("/%ff").headers["x-amz-error-code"] == "InvalidURI"
    head = site("/none", method="HEAD")
    assert (head.status, head.body) == (403, b"")


@pytest.mark.pinfold
def test_cors_of_a_site(site):
    rule = {"AllowedOrigins": ["http://a.test"], "AllowedMethods": ["GET"]}
    site.s3.put_bucket_cors(Bucket=site.bucket, CORSConfiguration={"CORSRules": [rule]})
    asked = {"origin": "http://a.test", "access-control-request-method": "GET"}
    answer = site("/k", method="OPTIONS", **asked)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "http://a.test")
    assert site("/old/k", origin="http://a.test").headers["access-control-allow-origin"] == "http://a.test"
    denied = site("/k", method="OPTIONS", **(asked | {"origin": "http://b.test"}))
    assert (denied.status, denied.headers["x-amz-error-code"]) == (403, "AccessForbidden")
