//! What commands print: tables and lines for people, JSON for programs; on standard output, complaints on standard error.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{ExitCode, Failure};

/// Where a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For people, or as JSON.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// One thing: `lines` of label and value for people, `value` for programs.
    pub fn fields(self, value: &impl Serialize, lines: impl AsRef<[(&'static str, String)]>) -> Result<(), Failure> {
        let lines = lines.as_ref();
        if self.json {
            return self.print_json(value);
        }
        let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (label, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!("{label:width$}  {value}\n"));
        }
        print(&text)
    }

    /// A list: a table for people, `values` for programs.
    pub fn table<T: Serialize, const N: usize>(
        self,
        values: &[T],
        heads: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&values);
        }
        let rows: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(values.iter().map(row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        print(&text)
    }

    /// A sentence for people; nothing for programs, which have the exit code.
    pub fn say(self, sentence: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { print(&format!("{sentence}\n")) }
    }

    fn print_json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|e| Failure::message(ExitCode::Failed, e))?;
        print(&format!("{text}\n"))
    }
}

/// Prints `text` as it is. A reader that has gone (`| head`) is not a failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says on standard error why the command failed.
pub fn complain(failure: &Failure) {
    // There is nowhere left to say that standard error is gone.
    let _ = writeln!(io::stderr(), "pinfold: {failure}");
}
