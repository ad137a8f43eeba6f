//! What every answer must be.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::corpus::Case;
use crate::support::Answer;

/// Whether an answer may be given at all, whatever the request was.
pub fn check(case: &Case, answer: &Answer) -> Result<(), String> {
    if answer.status == 500 || answer.status == 503 || answer.status == 507 {
        return Err("a request of a client is no failure of the server".to_owned());
    }
    if !(200..=599).contains(&answer.status) {
        return Err("no status of S3".to_owned());
    }
    // hyper refuses by itself what is no HTTP at all; it gives no document and no id.
    if !answer.headers.contains_key("x-amz-request-id") {
        return if answer.body.is_empty() && answer.status < 500 {
            Ok(())
        } else {
            Err("an answer without an id".to_owned())
        };
    }
    if case.method == "HEAD" || answer.status == 304 || answer.status == 204 {
        return if answer.body.is_empty() { Ok(()) } else { Err("a body where there is none".to_owned()) };
    }
    let said = answer.header("content-type");
    if answer.status >= 400 {
        if said != "application/xml" {
            return Err(format!("an error is no {said}"));
        }
        let root = well_formed(&answer.body)?;
        // A listing's keys may have them, as on AWS (`encoding-type=url` is for those); an error's document does not.
        if let Some(c) = answer.text().chars().find(|c| !in_xml(*c)) {
            return Err(format!("XML has no {c:?}"));
        }
        if root != "Error" {
            return Err(format!("an error's document is no {root}"));
        }
        for name in ["Code", "Message", "Resource", "RequestId", "HostId"] {
            if answer.elements(name).len() != 1 || answer.element(name).is_none_or(str::is_empty) {
                return Err(format!("an error has one {name}"));
            }
        }
        if answer.element("RequestId") != Some(answer.header("x-amz-request-id")) {
            return Err("an error's id is the answer's".to_owned());
        }
    } else if said == "application/xml" && !is_object(case) && !answer.body.is_empty() {
        well_formed(&answer.body)?;
    }
    Ok(())
}

/// The answer may be an object's bytes, of whatever type the client said.
fn is_object(case: &Case) -> bool {
    case.method == "GET" && case.path.len() > "/fuzz/".len()
}

fn in_xml(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// The name of the one element that everything is in.
fn well_formed(document: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(document).map_err(|e| format!("not UTF-8: {e}"))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut depth, mut roots, mut root) = (0_i32, 0, String::new());
    loop {
        let event = reader.read_event().map_err(|e| format!("not well-formed: {e}"))?;
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                for attribute in start.attributes() {
                    attribute.map_err(|e| format!("not well-formed: {e}"))?;
                }
                if depth == 0 {
                    roots += 1;
                    root = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                }
                depth += i32::from(matches!(event, Event::Start(_)));
            }
            Event::End(_) => depth -= 1,
            Event::GeneralRef(name) => {
                let name = String::from_utf8_lossy(&name).into_owned();
                let known = matches!(name.as_str(), "amp" | "lt" | "gt" | "quot" | "apos") || name.starts_with('#');
                if !known {
                    return Err(format!("nobody knows &{name};"));
                }
            }
            Event::Text(text) if depth == 0 && !text.iter().all(u8::is_ascii_whitespace) => {
                return Err("text outside of the document".to_owned());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if depth == 0 && roots == 1 { Ok(root) } else { Err(format!("{roots} documents, {depth} open")) }
}

/// What kinds of answers a run met.
#[derive(Default)]
pub struct Seen(BTreeMap<String, usize>);

impl Seen {
    pub fn count(&mut self, answer: &Answer) {
        let code = if answer.status < 400 { "fine" } else { answer.element("Code").unwrap_or("none") };
        *self.0.entry(code.to_owned()).or_default() += 1;
    }

    /// A run that met only one wall has tried nothing behind it.
    pub fn is_broad(&self, seed: u64) {
        eprintln!("seed {seed}: {:?}", self.0);
        let all: usize = self.0.values().sum();
        assert!(self.0.len() >= 12, "seed {seed}: only {:?}", self.0);
        assert!(
            self.0.get("fine").copied().unwrap_or(0) * 20 >= all,
            "seed {seed}: hardly any went through: {:?}",
            self.0
        );
        assert!(self.0.contains_key("MalformedXML"), "seed {seed}: {:?}", self.0);
    }
}
