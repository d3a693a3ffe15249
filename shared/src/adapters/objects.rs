//! S3, through the AWS SDK: files that others have written.

use super::{aws::call_error, late::Late};
use crate::ports::{Body, CallError, CallErrorKind, Objects};
use aws_config::SdkConfig;
use aws_sdk_s3::{Client, primitives::ByteStream};
use bytes::Bytes;

const GET: &str = "s3:GetObject";

/// S3.
///
/// A bucket is in the name of the host, as S3 wants it, unless `AWS_ENDPOINT_URL` is an IP address: then it is in the
/// path. That is the SDK's own rule.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Late<Client>,
}

impl S3 {
    /// S3 by the SDK's settings.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: Late::new(sdk, Client::new) }
    }
}

impl Objects for S3 {
    type Body = Stream;

    async fn open(&self, bucket: &str, key: &str) -> Result<Stream, CallError> {
        let answer = self.client.get_object().bucket(bucket).key(key).send().await;
        answer.map(|object| Stream(object.body)).map_err(|error| call_error(GET, &error))
    }
}

/// An object's body.
#[derive(Debug)]
pub struct Stream(ByteStream);

impl Body for Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        // What the SDK says of it is about connections and checksums.
        self.0.try_next().await.map_err(|error| CallError {
            operation: GET,
            kind: CallErrorKind::NoAnswer,
            message: format!("the object was not read to its end: {error}"),
        })
    }
}
