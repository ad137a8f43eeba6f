//! The few parts of the protobuf wire format that dag-pb and UnixFS use. Reading never panics and never allocates:
//! every length is checked against the bytes that are there.

use crate::error::{Error, Result};

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Takes a message apart, field by field.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next field's number and value; None at the end of the message. Corrupt on anything malformed.
    pub fn next_field(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = self.varint()?;
                let len = usize::try_from(len).map_err(|_| cut())?;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(Error::corrupt("protobuf: wire type not in use").with("type", other)),
        };
        match key >> 3 {
            0 => Err(Error::corrupt("protobuf: field number 0")),
            number => Ok(Some((number, value))),
        }
    }

    /// The next varint: at most 10 bytes, at most 64 bits.
    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (i, &byte) in self.0.iter().enumerate().take(10) {
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(value);
            }
        }
        if self.0.len() < 10 { Err(cut()) } else { Err(Error::corrupt("protobuf: varint over 64 bits")) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(cut)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*head)
    }
}

fn cut() -> Error {
    Error::corrupt("protobuf: message ends within a field")
}

/// Bytes that `value` takes as a varint.
pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends `value` as a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field. `number` is below 16, as all of ours are.
pub(super) fn put_varint_field(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    put_varint(out, value);
}

/// Appends a length-delimited field. `number` is below 16.
pub(super) fn put_bytes_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a fixed 32-bit field. `number` is below 16.
pub(super) fn put_fixed32_field(out: &mut Vec<u8>, number: u8, value: u32) {
    out.push(number << 3 | 5);
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn varints_go_there_and_back(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            let mut fields = Fields(&out);
            prop_assert_eq!(fields.varint().unwrap(), value);
            prop_assert_eq!(fields.0.len(), 0);
        }

        #[test]
        fn fields_go_there_and_back(varint: u64, fixed: u32, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_varint_field(&mut out, 3, varint);
            put_bytes_field(&mut out, 15, &bytes);
            put_fixed32_field(&mut out, 2, fixed);
            let mut fields = Fields(&out);
            prop_assert_eq!(fields.next_field().unwrap(), Some((3, Value::Varint(varint))));
            prop_assert_eq!(fields.next_field().unwrap(), Some((15, Value::Bytes(&bytes))));
            prop_assert_eq!(fields.next_field().unwrap(), Some((2, Value::Fixed32(fixed))));
            prop_assert_eq!(fields.next_field().unwrap(), None);
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        let bad: [&[u8]; 8] = [
            b"\x08",                                                 // no value
            b"\x0a\x02a",                                            // length past the end
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",        // length past the address space
            b"\x15abc",                                              // fixed32 cut
            b"\x11abcdefg",                                          // fixed64 cut
            b"\x0b",                                                 // group
            b"\x02\x00",                                             // field 0
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00", // 65 bits
        ];
        for bytes in bad {
            assert!(Fields(bytes).next_field().is_err(), "{bytes:x?}");
        }
    }
}
