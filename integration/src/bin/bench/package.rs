//! The size of what is deployed: a zip with the binary in it as `bootstrap`.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::Result;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::figure::Figure;
use crate::{HANDLERS, binary};

pub(crate) fn measure(binaries: &Path) -> Result<Vec<Figure>> {
    let hello = zipped(&binary(binaries, "hello")?)?;
    let mut figures = vec![Figure::new("zip.hello_mb", hello, "MB")];
    for name in HANDLERS {
        let size = zipped(&binary(binaries, name)?)?;
        let figure = Figure::new(format!("zip.{name}_mb"), size, "MB").at_most(6.0).beside("hello", hello);
        figures.push(figure.how("deflate, default level"));
    }
    Ok(figures)
}

/// In millions of bytes.
fn zipped(binary: &Path) -> Result<f64> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(&fs::read(binary)?)?;
    Ok(zip.finish()?.into_inner().len() as f64 / 1e6)
}
