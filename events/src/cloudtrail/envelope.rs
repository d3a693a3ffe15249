//! What EventBridge, SQS, SNS and S3 wrap around records, and around the names of files that hold records.
