"""The console as a person uses it: headless Chromium before a real node. The fixture `page` also sees to it that nothing
is asked of another host, that no script fails and that the browser complains of nothing unexpected."""

import contextlib
import os
import re
import struct
import zlib

from playwright.sync_api import expect

from harness import s3 as s3c
from harness import settings


def chunk(kind, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


#: A picture of 2 x 2 points.
PICTURE = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
           + chunk(b"IDAT", zlib.compress(b"\0\x40\x80\0\xc0\xff")) + chunk(b"IEND", b""))

NOTE = "note <b>&amp; 100%+ü.txt"


def sign_in(page, access=settings.ROOT_ACCESS, secret=settings.ROOT_SECRET):
    page.get_by_label("Access key").fill(access)
    page.get_by_label("Secret key").fill(secret)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Buckets")).to_be_visible()


def go(tab, **names):
    """Opens a page of the console by its address."""
    tab.evaluate("names => { location.hash = new URLSearchParams(names); }", names)


def row(page, text):
    return page.get_by_role("row").filter(has_text=text)


def confirm(page):
    page.locator("#ask-yes").click()


def test_a_wrong_secret_is_refused_and_the_right_one_is_not(page):
    page.expected.append("401")
    page.get_by_label("Access key").fill(settings.ROOT_ACCESS)
    page.get_by_label("Secret key").fill("not-the-secret")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The access key or the secret key is wrong.")
    assert not page.context.cookies()
    sign_in(page)
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    page.reload()
    expect(page.get_by_role("heading", name="Buckets")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Secret key")).to_be_visible()
    assert not page.context.cookies()
    page.reload()
    expect(page.get_by_label("Secret key")).to_be_visible()


def test_the_state_of_a_pin_is_what_the_node_says(site, page):
    """How the node comes to say it is the pins' suite's; here its answer is given the two headers of a node that pins."""
    bucket = s3c.fresh_name()
    site.s3.create_bucket(Bucket=bucket)
    site.s3.put_object(Bucket=bucket, Key="key", Body=b"bytes")
    told = {"x-pinfold-pin-status": "pinning", "x-pinfold-pin-replicas": "2/3"}

    def say(route):
        if route.request.method == "HEAD":
            answer = route.fetch()
            route.fulfill(response=answer, headers={**answer.headers, **told})
        else:
            route.fallback()
    page.route("**/key*", say)
    sign_in(page)
    go(page, page="objects", bucket=bucket)
    expect(row(page, "key")).to_contain_text("pinning 2/3")
    go(page, page="object", bucket=bucket, key="key")
    expect(page.locator("#pin")).to_have_text("pinning 2/3")
    page.unroute("**/key*")
    page.reload()
    expect(page.locator("#pin")).to_have_text("local")
    site.s3.delete_object(Bucket=bucket, Key="key")
    site.s3.delete_bucket(Bucket=bucket)


def test_a_bucket_an_upload_its_cid_a_preview_the_same_bytes_and_gone(site, page, tmp_path):
    bucket = s3c.fresh_name()
    sign_in(page)
    page.get_by_role("textbox", name="New bucket").fill(bucket)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name=bucket).click()
    # Names that are no HTML and bytes that are no text.
    text = b"hello from the console\n<script>alert(1)</script>\n"
    names = {NOTE: text, "random.bin": os.urandom(3_000_000), "dot.png": PICTURE}
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    page.get_by_label("Upload files").set_input_files([tmp_path / name for name in names])
    for name, data in names.items():
        line = row(page, name)
        expect(line).to_be_visible()
        answer = site.s3.get_object(Bucket=bucket, Key=name)
        assert answer["Body"].read() == data
        expect(line.locator("code")).to_have_text(s3c.cid(answer))
        expect(line).to_contain_text("local")
        with page.expect_download() as got:
            line.get_by_role("link", name="Download").click()
        assert got.value.suggested_filename == re.sub(r'[<>:"/\\|?*]', "_", name) or got.value.suggested_filename == name
        assert got.value.path().read_bytes() == data

    page.get_by_role("link", name="note").first.click()
    expect(page.locator("pre")).to_have_text(text.decode())
    expect(page.locator("#cid")).to_have_text(re.compile("^baf"))
    go(page, page="object", bucket=bucket, key="dot.png")
    image = page.get_by_role("img", name="Preview of dot.png")
    expect(image).to_be_visible()
    page.wait_for_function("image => image.complete && image.naturalWidth === 2", arg=image.element_handle())
    go(page, page="object", bucket=bucket, key="random.bin")
    expect(page.get_by_text("No preview of this type.")).to_be_visible()

    go(page, page="objects", bucket=bucket)
    for name in names:
        row(page, name).get_by_role("button", name="Delete").click()
        confirm(page)
        expect(row(page, name)).to_have_count(0)
    assert s3c.keys(site.s3, bucket) == []
    go(page, page="buckets")
    page.get_by_role("button", name=f"Delete bucket {bucket}").click()
    confirm(page)
    expect(page.get_by_role("link", name=bucket)).to_have_count(0)


def test_a_large_file_goes_up_in_parts_and_a_dropped_one_too(site, page, tmp_path):
    bucket = s3c.fresh_name()
    site.s3.create_bucket(Bucket=bucket)
    data = os.urandom(1 << 20) * 65 + b"the last part"
    (tmp_path / "large").write_bytes(data)
    sign_in(page)
    go(page, page="objects", bucket=bucket, prefix="in/")
    page.get_by_label("Upload files").set_input_files(tmp_path / "large")
    expect(row(page, "large")).to_be_visible(timeout=60_000)
    answer = site.s3.get_object(Bucket=bucket, Key="in/large")
    assert answer["ETag"].endswith('-2"') and answer["Body"].read() == data
    assert "Uploads" not in site.s3.list_multipart_uploads(Bucket=bucket)
    page.evaluate("""() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(['dropped'], 'dropped.txt', {type: 'text/plain'}));
        document.querySelector('#upload').closest('div').dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true}));
    }""")
    expect(row(page, "dropped.txt")).to_be_visible()
    answer = site.s3.get_object(Bucket=bucket, Key="in/dropped.txt")
    assert answer["Body"].read() == b"dropped" and answer["ContentType"] == "text/plain"


def test_an_object_that_is_a_page_is_saved_and_not_run(site, page):
    bucket = s3c.fresh_name()
    site.s3.create_bucket(Bucket=bucket)
    html = b"<!doctype html><script>fetch('/api/users')</script>"
    site.s3.put_object(Bucket=bucket, Key="evil.html", Body=html, ContentType="text/html")
    sign_in(page)
    go(page, page="object", bucket=bucket, key="evil.html")
    expect(page.locator("pre")).to_have_text(html.decode())
    with page.expect_download() as got:
        page.evaluate("path => { location.href = path; }", f"/s3/{bucket}/evil.html")
    assert got.value.path().read_bytes() == html
    # Nor can a script that got into the page, which none should, load it as one.
    page.expected += ["403", "Content Security Policy", "MIME"]
    page.evaluate("""path => new Promise(done => {
        const script = document.createElement('script');
        script.src = path;
        script.onerror = done;
        script.onload = () => { throw new Error('it ran'); };
        document.head.append(script);
    })""", f"/s3/{bucket}/evil.html")


def test_folders_pages_and_finding(site, page):
    bucket = s3c.fresh_name()
    site.s3.create_bucket(Bucket=bucket)
    for key in ["a/b/c.txt", "a/d.txt", *(f"many/{n:03}" for n in range(130))]:
        site.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    sign_in(page)
    page.get_by_role("link", name=bucket).click()
    page.get_by_role("link", name="a/").click()
    expect(row(page, "d.txt")).to_be_visible()
    page.get_by_role("link", name="b/").click()
    expect(row(page, "c.txt")).to_be_visible()
    page.get_by_role("link", name=bucket).click()
    page.get_by_role("link", name="many/").click()
    expect(row(page, "099")).to_be_visible()
    expect(page.get_by_text("100 and more here")).to_be_visible()
    page.get_by_role("button", name="More").click()
    expect(row(page, "129")).to_be_visible()
    page.get_by_label("Find in this folder").fill("12")
    page.get_by_label("Find in this folder").press("Enter")
    expect(page.get_by_text("10 here")).to_be_visible()


def test_versions_are_shown_restored_and_deleted(site, page):
    bucket = s3c.fresh_name()
    sign_in(page)
    page.get_by_role("textbox", name="New bucket").fill(bucket)
    page.get_by_label("keep versions").check()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("link", name=bucket)).to_be_visible()
    assert site.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first = site.s3.put_object(Bucket=bucket, Key="v.txt", Body=b"first")["VersionId"]
    site.s3.put_object(Bucket=bucket, Key="v.txt", Body=b"second")
    go(page, page="object", bucket=bucket, key="v.txt")
    expect(page.get_by_text("2 versions, newest first")).to_be_visible()
    expect(page.locator("pre")).to_have_text("second")
    page.get_by_role("link", name=first).click()
    expect(page.locator("pre")).to_have_text("first")
    page.get_by_role("button", name=f"Restore version {first}").click()
    expect(page.get_by_text("3 versions, newest first")).to_be_visible()
    assert s3c.body(site.s3, bucket, "v.txt") == b"first"
    # The newest goes: a delete marker; the marker goes: it is there again.
    page.expected.append("404")
    go(page, page="object", bucket=bucket, key="v.txt")
    page.get_by_role("button", name="Delete", exact=True).first.click()
    confirm(page)
    expect(page.get_by_text("Nothing here")).to_be_visible()
    assert s3c.absent(site.s3, bucket, "v.txt")
    go(page, page="object", bucket=bucket, key="v.txt")
    expect(page.get_by_text("There is no such object now.")).to_be_visible()
    row(page, "delete marker").get_by_role("button").click()
    confirm(page)
    expect(page.locator("pre")).to_have_text("first")
    row(page, first).get_by_role("button", name="Delete").click()
    confirm(page)
    expect(page.get_by_text("2 versions, newest first")).to_be_visible()
    left = site.s3.list_object_versions(Bucket=bucket)["Versions"]
    assert len(left) == 2 and first not in {v["VersionId"] for v in left}


def test_the_keyboard_alone_is_enough(site, page):
    bucket = s3c.fresh_name("kb")
    site.s3.create_bucket(Bucket=bucket)
    site.s3.put_object(Bucket=bucket, Key="deep/one.txt", Body=b"1", ContentType="text/plain")
    site.s3.put_object(Bucket=bucket, Key="deep/two.txt", Body=b"2", ContentType="text/plain")
    keys = page.keyboard
    page.wait_for_function("document.activeElement.name === 'access'")
    keys.type(settings.ROOT_ACCESS)
    keys.press("Tab")
    keys.type(settings.ROOT_SECRET)
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Buckets")).to_be_visible()
    keys.press("/")
    keys.type(bucket)
    keys.press("Enter")
    expect(page.get_by_role("link", name="deep/")).to_be_visible()
    keys.press("j")
    keys.press("Enter")
    expect(row(page, "two.txt")).to_be_visible()
    keys.press("j")
    keys.press("j")
    assert page.evaluate("document.activeElement.textContent") == "two.txt"
    keys.press("k")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(page.locator("pre")).to_have_text("2")
    keys.press("Backspace")
    expect(row(page, "one.txt")).to_be_visible()
    # Delete by Tab, with the question answered by Tab and Enter.
    keys.press("j")
    for _ in range(2):
        keys.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Delete one.txt"
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Enter")
    expect(row(page, "one.txt")).to_have_count(0)
    assert s3c.keys(site.s3, bucket) == ["deep/two.txt"]
    keys.press("n")
    expect(page.get_by_role("heading", name="Node", exact=True)).to_be_visible()
    keys.press("u")
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    keys.press("?")
    expect(page.get_by_role("heading", name="Keyboard")).to_be_visible()
    keys.press("Escape")
    keys.press("b")
    expect(page.get_by_role("heading", name="Buckets")).to_be_visible()


def test_an_administrator_manages_accounts(site, page):
    sign_in(page)
    page.get_by_role("link", name="Users").click()
    form = page.get_by_role("form", name="New account")
    form.get_by_label("Access key").fill("dora")
    form.get_by_role("button", name="Generate").click()
    secret = form.get_by_label("Secret key").input_value()
    assert len(secret) == 40
    form.get_by_label("Role").select_option("userplus")
    form.get_by_label("User id").fill("1234")
    form.get_by_role("button", name="Create").click()
    expect(row(page, "dora")).to_contain_text("1234")
    expect(row(page, "dora")).to_contain_text("userplus")
    assert secret not in page.content()
    s3c.client(site.node.endpoint, access="dora", secret=secret).list_buckets()
    page.get_by_role("button", name="Change the secret key of dora").click()
    page.get_by_label("New secret key of dora").fill("another-secret")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#news")).to_contain_text("has a new secret key")
    s3c.client(site.node.endpoint, access="dora", secret="another-secret").list_buckets()
    page.get_by_role("button", name="Delete dora").click()
    confirm(page)
    expect(row(page, "dora")).to_have_count(0)
    with s3c.refused("InvalidAccessKeyId"):
        s3c.client(site.node.endpoint, access="dora", secret="another-secret").list_buckets()
    assert secret not in site.node.log_text() and "another-secret" not in site.node.log_text()


def test_a_plain_user_sees_no_administration(site, page):
    page.expected.append("403")
    sign_in(page, "bob", site.bob.secret)
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
    expect(page.get_by_role("link", name="Node")).to_have_count(0)
    expect(page.get_by_role("textbox", name="New bucket")).to_have_count(0)
    for name in ["users", "node"]:
        go(page, page=name)
        expect(page.get_by_role("alert")).to_have_text("this is for administrators")
        go(page, page="buckets")
        expect(page.get_by_role("heading", name="Buckets")).to_be_visible()
    foreign = s3c.fresh_name()
    site.s3.create_bucket(Bucket=foreign)
    go(page, page="objects", bucket=foreign)
    expect(page.get_by_role("alert")).to_have_text("Access Denied.")


def test_health_and_throughput_move(site, page):
    bucket = s3c.fresh_name()
    site.s3.create_bucket(Bucket=bucket)
    sign_in(page)
    page.get_by_role("link", name="Node").click()
    expect(page.locator("#health")).to_contain_text("serving")
    expect(page.locator("#health")).to_contain_text(f"http://127.0.0.1:{site.node.s3_port}")
    expect(row(page, "scrub")).to_be_visible()
    expect(row(page, str(site.node.mnt))).to_contain_text("all buckets")
    received = page.locator("[data-figure=Received] b")
    expect(received).to_have_text("0 B/s")
    for _ in range(200):
        site.s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(2 << 20))
        if "MiB/s" in received.text_content():
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError("nothing moves")
    expect(row(page, "Contents that wait for the collector")).to_be_visible()
    expect(page.locator("[data-figure=Received] polyline")).to_have_attribute("points", re.compile(r"\d"))


def test_pictures_of_light_and_dark_differ_and_nothing_is_unlabelled(browser, site, page):
    sign_in(page)
    page.emulate_media(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) != light
    for name in ["buckets", "users", "node"]:
        go(page, page=name)
        page.get_by_role("heading", name=name.capitalize(), exact=True).wait_for()
        bare = page.evaluate("""() => [...document.querySelectorAll('main input, main select, main button, main a')]
            .filter(e => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).map(e => e.outerHTML)""")
        assert bare == []


def test_a_session_that_ends_elsewhere_leads_to_the_sign_in(site, page):
    page.expected.append("401")
    site.s3.create_bucket(Bucket=(bucket := s3c.fresh_name()))
    sign_in(page)
    page.context.clear_cookies()
    go(page, page="objects", bucket=bucket)
    expect(page.get_by_label("Secret key")).to_be_visible()
    expect(page.locator("#news")).to_have_text("You are signed out.")


def test_over_tls_the_browser_speaks_http2(tls_site, browser, tmp_path):
    """Another way through the server: no `Host`, several requests at once on one connection."""
    data = os.urandom(3_000_000)
    (tmp_path / "x.bin").write_bytes(data)
    with contextlib.closing(browser.new_context(ignore_https_errors=True)) as context:
        page = context.new_page()
        page.goto(tls_site.url)
        sign_in(page)
        assert context.cookies()[0]["secure"]
        bucket = s3c.fresh_name()
        page.get_by_role("textbox", name="New bucket").fill(bucket)
        page.get_by_role("button", name="Create").click()
        page.get_by_role("link", name=bucket).click()
        page.get_by_label("Upload files").set_input_files(tmp_path / "x.bin")
        expect(row(page, "x.bin").locator("code")).to_have_text(re.compile("^bafy"))
        with page.expect_download() as got:
            row(page, "x.bin").get_by_role("link", name="Download").click()
        assert got.value.path().read_bytes() == data
        spoken = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol)")
        assert "h2" in spoken and set(spoken) <= {"h2", ""}, spoken


def test_the_watch_over_the_browser_can_fail(page):
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        document.body.setAttribute('style', 'color: red');
    }""")
    assert page.evaluate("window.ran") is None
    assert sum("Content Security Policy" in complaint for complaint in page.complaints) >= 2
    page.expected.append("Content Security Policy")
