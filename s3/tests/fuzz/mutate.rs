//! Changing a request: a few changes a case, of bytes, of values that programs stumble over, and of structure.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::corpus::Case;

/// xorshift64*: the same seed gives the same run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Less than `n`; 0 for none.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() >> 33) as usize % n }
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const TOKENS: [&str; 34] = [
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml version=\"1.0\" encoding=\"UTF-16\"?>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&b;",
    "&#0;",
    "&#x110000;",
    "&lt;",
    "&",
    "<",
    ">",
    "</",
    "/>",
    "<Key>",
    "</Key>",
    "<Object>",
    "<Part>",
    "<Tag/>",
    "<PartNumber>10001</PartNumber>",
    "<Key/><Key/>",
    "xmlns:x=\"y\"",
    "\0",
    "\u{feff}",
    "\u{fffe}",
    "\r\n",
    "0\r\n\r\n",
    ";chunk-signature=",
    "\u{e9}",
    "\u{1f980}",
    "\"",
    "99999999999999999999",
    "-1",
];
const VALUES: [&str; 40] = [
    "",
    " ",
    "0",
    "-0",
    "1",
    "-1",
    "10001",
    "2147483648",
    "-2147483649",
    "18446744073709551616",
    "1e9",
    "0x10",
    "NaN",
    "true",
    "null",
    "None",
    "*",
    "\"",
    "\"\"",
    "W/\"x\"",
    ",",
    ";",
    "=",
    "&",
    "a=b=c",
    "%",
    "%zz",
    "%00",
    "%ff",
    "+",
    "..",
    "../../x",
    "/",
    "//",
    "bytes=",
    "bytes=5-2",
    "bytes=0-18446744073709551616",
    "bytes=-",
    "Thu, 99 Foo 1994 08:49:37 GMT",
    "\u{e9}\u{1f980}",
];
const NAMES: [&str; 28] = [
    "acl",
    "tagging",
    "uploads",
    "uploadId",
    "partNumber",
    "versionId",
    "delete",
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "marker",
    "X-Amz-Algorithm",
    "X-Amz-Signature",
    "X-Amz-Expires",
    "Signature",
    "response-expires",
    "x-id",
    "\u{e9}",
    "",
    "renameObject",
    "append",
    "restore",
    "select",
    "website",
    "encoding-type",
    "continuation-token",
    "location",
];
const HEADERS: [&str; 26] = [
    "range",
    "if-match",
    "if-none-match",
    "if-range",
    "content-md5",
    "content-type",
    "content-encoding",
    "x-amz-acl",
    "x-amz-tagging",
    "x-amz-copy-source",
    "x-amz-copy-source-range",
    "x-amz-checksum-crc32",
    "x-amz-checksum-sha512",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-checksum-type",
    "x-amz-trailer",
    "x-amz-meta-",
    "x-amz-meta-\u{e9}",
    "x-amz-object-attributes",
    "x-amz-storage-class",
    "x-amz-security-token",
    "x-amz-expected-bucket-owner",
    "expect",
    "x-amz-mp-object-size",
    "x-amz-write-offset-bytes",
    "x-amz-server-side-encryption",
];

/// One case of the corpus with one to four changes.
pub fn case(random: &mut Random, corpus: &[Case]) -> Case {
    let mut case = random.of(corpus).clone();
    let other = random.of(corpus).clone();
    for _ in 0..=random.below(4) {
        match random.below(10) {
            0..=3 if !case.body.is_empty() => case.body = bytes(random, &case.body),
            0 => case.body = other.body.clone(),
            1 | 4 => pairs(random, &mut case.query, &NAMES),
            2 | 5 | 6 => pairs(random, &mut case.headers, &HEADERS),
            3 => case.query.extend(other.query.clone()),
            7 => case.headers.extend(other.headers.clone()),
            8 => {
                // The key only: other buckets are the test's own.
                let key = bytes(random, &case.path.as_bytes()[case.path.len().min(6)..]);
                let kept: String = case.path.chars().take(6).collect();
                case.path = kept + &String::from_utf8_lossy(&key);
                if case.path.len() > 5 && !case.path.starts_with("/fuzz/") {
                    case.path = "/fuzz/k".to_owned();
                }
            }
            _ => case.method = *random.of::<&str>(&["GET", "PUT", "POST", "DELETE", "HEAD"]),
        }
    }
    case.query.truncate(40);
    case.headers.truncate(40);
    case.headers.retain(|(name, _)| name.parse::<HeaderName>().is_ok() && name != "host");
    for (_, value) in &mut case.headers {
        // A client's library refuses what no header can hold.
        value.retain(|c| c == '\t' || (' '..='~').contains(&c));
        *value = value.trim().to_owned();
    }
    case
}

/// Changes of bytes: flips, cuts, repeats, and things put in.
pub fn bytes(random: &mut Random, from: &[u8]) -> Vec<u8> {
    let mut out = from.to_vec();
    let at = random.below(out.len() + 1);
    let end = (at + random.below(24)).min(out.len());
    match random.below(8) {
        0 if at < out.len() => out[at] ^= 1 << random.below(8),
        1 if at < out.len() => out[at] = random.next() as u8,
        2 => drop(out.drain(at..end)),
        3 => {
            let piece = out[at..end].to_vec();
            for _ in 0..=random.below(300) {
                out.splice(at..at, piece.iter().copied());
            }
        }
        4 => out.truncate(at),
        5 => {
            let to = random.below(out.len() + 1);
            let piece = out[at..end].to_vec();
            out.splice(to..to, piece);
        }
        6 => drop(out.splice(at..at, std::iter::repeat_n(random.next() as u8, random.below(3000)))),
        _ => drop(out.splice(at..at, random.of(&TOKENS).bytes())),
    }
    out
}

fn pairs(random: &mut Random, all: &mut Vec<(String, String)>, names: &[&str]) {
    let at = random.below(all.len());
    let known = (*random.of(names)).to_owned();
    let value = value(random);
    match random.below(6) {
        0 if !all.is_empty() => drop(all.remove(at)),
        1 if !all.is_empty() => all.push(all[at].clone()),
        2 if !all.is_empty() => all[at].0 = known,
        3 | 4 if !all.is_empty() => all[at].1 = value,
        _ => all.push((known, value)),
    }
}

fn value(random: &mut Random) -> String {
    match random.below(6) {
        0 => "9".repeat(random.below(40)),
        1 => "a".repeat(random.below(3000)),
        2 => format!("{}{}", random.of(&VALUES), random.of(&TOKENS)),
        _ => (*random.of(&VALUES)).to_owned(),
    }
}

/// A change behind the signature.
pub fn header(random: &mut Random, headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    let name = random.of(&names).clone();
    let Some(old) = headers.get(&name).map(|v| v.as_bytes().to_vec()) else { return };
    if random.one_in(4) {
        headers.remove(&name);
    } else if let Ok(new) = HeaderValue::from_bytes(&bytes(random, &old)) {
        headers.insert(name, new);
    }
}
