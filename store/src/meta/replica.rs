//! stub
#![allow(missing_docs, clippy::all, unused)]
use super::record::Record;
use super::*;
use crate::types::Seq;
pub struct Metadata;
impl Metadata {
    pub fn get(&self, k: &[u8]) -> Result<Option<Vec<u8>>> { panic!() }
    pub fn range(&self, a: &[u8], b: &[u8], n: usize) -> Result<Vec<Row>> { panic!() }
    pub fn commit(&self, r: Record) -> Result<Seq> { panic!() }
    pub async fn durable(&self, s: Seq) -> Result<()> { panic!() }
    pub fn durable_blocking(&self, s: Seq) -> Result<()> { panic!() }
    pub fn head(&self) -> Seq { panic!() }
}
