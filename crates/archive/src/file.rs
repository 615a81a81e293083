//! One Parquet file: encrypted whole by Parquet Modular Encryption (AES-GCM, encrypted footer), bound to its place.

use crate::keys::{Dek, REFERENCE};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, Encoding, ZstdLevel},
    encryption::{decrypt::FileDecryptionProperties, encrypt::FileEncryptionProperties},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};
use std::sync::Arc;

/// Metadata key of the schema's version.
const VERSION: &str = "drmwatch.schema";
/// Rows that are read at a time.
const BATCH: usize = 16_384;

/// How the files of a dataset are written, and up to which version they can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Version of the schema. A file says by which it was written; one of a greater version is refused.
    pub version: u32,
    /// Columns of numbers of which hardly two are alike: a dictionary of them would be larger than they are.
    pub spread: &'static [&'static str],
}

/// Why a file can't be read.
#[derive(thiserror::Error, Debug)]
pub enum FileError {
    /// It does not open: another key, another place, or not what was written.
    #[error("it does not open: it was changed, cut short, or put into another's place ({0})")]
    Refused(String),
    /// It was written by a newer version.
    #[error(
        "it was written by a newer drmwatch (schema {written}; this one reads up to {known}): update drmwatch"
    )]
    Newer {
        /// The version that the file says.
        written: u32,
        /// The greatest version that is known here.
        known: u32,
    },
    /// Its columns are not those of its schema.
    #[error(transparent)]
    Columns(#[from] ArrowError),
    /// It can't be written.
    #[error("it can't be encoded: {0}")]
    Write(ParquetError),
}

/// How a file's key is known to its readers.
pub enum Material {
    /// It lies beside it.
    Beside,
    /// It stands in its footer.
    Inside(Vec<u8>),
}

fn properties(
    format: &Format,
    dek: &Dek,
    aad: &str,
    material: Material,
    more: Vec<(String, String)>,
) -> Result<WriterProperties, ParquetError> {
    let metadata = match material {
        Material::Beside => REFERENCE.as_bytes().to_vec(),
        Material::Inside(bytes) => bytes,
    };
    let encryption = FileEncryptionProperties::builder(dek.bytes().to_vec())
        .with_footer_key_metadata(metadata)
        // Stored, so that other readers need not know it; ours knows what it must be.
        .with_aad_prefix(aad.as_bytes().to_vec())
        .with_aad_prefix_storage(true)
        .build()?;
    let pairs = more.into_iter().map(|(k, v)| KeyValue::new(k, v)).collect();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by(concat!("drmwatch ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(pairs))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(1 << 20))
        .with_file_encryption_properties(encryption);
    for column in format.spread {
        let path = ColumnPath::from(*column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}

/// Columns as an encrypted file. `aad`: its place; `more`: metadata, which is encrypted as well.
pub fn seal(
    format: &Format,
    schema: Arc<Schema>,
    batches: &[RecordBatch],
    dek: &Dek,
    aad: &str,
    material: Material,
    more: Vec<(String, String)>,
) -> Result<Vec<u8>, FileError> {
    let version = (VERSION.to_owned(), format.version.to_string());
    let more = [vec![version], more].concat();
    let write = || {
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(
            &mut file,
            schema,
            Some(properties(format, dek, aad, material, more)?),
        )?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.close()?;
        Ok(file)
    };
    write().map_err(FileError::Write)
}

fn builder(
    format: &Format,
    bytes: Bytes,
    dek: &Dek,
    aad: &str,
) -> Result<ParquetRecordBatchReaderBuilder<Bytes>, FileError> {
    let refused = |e: ParquetError| FileError::Refused(e.to_string());
    // The magic of an encrypted footer, which nothing else verifies at the beginning.
    if !bytes.starts_with(b"PARE") {
        return Err(FileError::Refused(
            "it does not begin as an encrypted file does".into(),
        ));
    }
    let decryption = FileDecryptionProperties::builder(dek.bytes().to_vec())
        .with_aad_prefix(aad.as_bytes().to_vec())
        .build()
        .map_err(refused)?;
    let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(refused)?;
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let version = metadata.into_iter().flatten().find(|kv| kv.key == VERSION);
    let version = version
        .and_then(|kv| kv.value.as_ref()?.parse().ok())
        .unwrap_or(0);
    if version > format.version {
        return Err(FileError::Newer {
            written: version,
            known: format.version,
        });
    }
    Ok(builder)
}

/// Opens a file, and reads these columns of it (None: all).
pub fn open(
    format: &Format,
    bytes: Bytes,
    dek: &Dek,
    aad: &str,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, FileError> {
    let builder = builder(format, bytes, dek, aad)?;
    let builder = match columns {
        Some(columns) => {
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            builder.with_projection(mask)
        }
        None => builder,
    };
    let reader = builder.with_batch_size(BATCH).build();
    reader.map_err(|e| FileError::Refused(e.to_string()))
}

/// The metadata of a file.
pub fn metadata(
    format: &Format,
    reader: Bytes,
    dek: &Dek,
    aad: &str,
) -> Result<Vec<(String, String)>, FileError> {
    let builder = builder(format, reader, dek, aad)?;
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let pairs = pairs.into_iter().flatten();
    Ok(pairs
        .filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?)))
        .collect())
}

/// What a reader's error means: what was written was changed.
pub fn refused(error: ArrowError) -> FileError {
    FileError::Refused(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};
    use arrow_schema::{DataType, Field};

    fn format(version: u32) -> Format {
        Format { version, spread: &[] }
    }

    fn two(version: u32) -> (Vec<u8>, Dek) {
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::Int64, false));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        // Noise, which is as long compressed as it is.
        let noise = |i: i64| {
            i.wrapping_mul(-7_046_029_254_386_353_131)
                .rotate_left(31)
                .wrapping_mul(i | 1)
        };
        let column = |from: i64| Arc::new((from..from + 1000).map(noise).collect::<Int64Array>()) as ArrayRef;
        let batch = RecordBatch::try_new(schema.clone(), vec![column(1 << 40), column(2 << 40)]).unwrap();
        let dek = Dek::random().unwrap();
        let file = seal(
            &format(version),
            schema,
            &[batch],
            &dek,
            "here",
            Material::Beside,
            Vec::new(),
        )
        .unwrap();
        (file, dek)
    }

    fn read(file: &[u8], dek: &Dek, aad: &str) -> Result<usize, FileError> {
        let reader = open(&format(1), Bytes::copy_from_slice(file), dek, aad, None)?;
        reader.map(|b| b.map(|b| b.num_rows()).map_err(refused)).sum()
    }

    #[test]
    fn two_columns_that_change_places_are_refused() {
        let (file, dek) = two(1);
        assert_eq!(read(&file, &dek, "here").unwrap(), 1000);
        assert!(matches!(read(&file, &dek, "there"), Err(FileError::Refused(_))));
        assert!(matches!(
            read(&file, &Dek::random().unwrap(), "here"),
            Err(FileError::Refused(_))
        ));
        let builder = builder(&format(1), Bytes::copy_from_slice(&file), &dek, "here").unwrap();
        let range = |i: usize| {
            let (from, length) = builder.metadata().row_group(0).column(i).byte_range();
            from as usize..(from + length) as usize
        };
        let (a, b) = (range(0), range(1));
        // As long as each other, or nothing would be shown.
        assert_eq!(a.len(), b.len());
        let mut swapped = file.clone();
        swapped[a.clone()].copy_from_slice(&file[b.clone()]);
        swapped[b].copy_from_slice(&file[a]);
        assert!(matches!(read(&swapped, &dek, "here"), Err(FileError::Refused(_))));
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused_with_the_way_out() {
        let (file, dek) = two(2);
        let error = read(&file, &dek, "here").unwrap_err().to_string();
        assert!(
            error.contains("written by a newer drmwatch (schema 2; this one reads up to 1): update"),
            "{error}"
        );
    }
}
