//! The templates are within what CloudFormation and the services take, so that a deployment does not end with "too large".

use serde_json::Value;

use crate::scene::{ACCOUNT, TEMPLATES, World};

/// Of a template in S3, as `make deploy` hands each one over. Source: CloudFormation User Guide, "Understand CloudFormation
/// quotas", as the following ones.
const TEMPLATE_BYTES: usize = 1_000_000;
const RESOURCES: usize = 500;
const PARAMETERS: usize = 200;
const OUTPUTS: usize = 200;

#[test]
fn every_template_is_within_the_limits_of_cloudformation() {
    for (path, template) in TEMPLATES.iter().filter(|(path, _)| path.ends_with(".yaml")) {
        let size = template.to_string().len();
        let count = |part: &str| template[part].as_object().map_or(0, serde_json::Map::len);
        assert!(size < TEMPLATE_BYTES, "{path} has {size} bytes");
        assert!(count("Resources") <= RESOURCES, "{path} has {} resources", count("Resources"));
        assert!(count("Parameters") <= PARAMETERS, "{path} has {} parameters", count("Parameters"));
        assert!(count("Outputs") <= OUTPUTS, "{path} has {} outputs", count("Outputs"));
    }
}

/// Policies with everything turned on. IAM does not count blanks, of which these have none.
#[test]
fn every_policy_is_within_the_limits_of_its_service() {
    let deployment = World::new("a-project-with-the-longest-name", "staging", ACCOUNT).deployment;
    let mut seen = 0;
    for resource in &deployment.resources {
        let size = |value: &Value| value.to_string().len();
        let properties = &resource.properties;
        let sizes: Vec<(usize, usize)> = match resource.kind.as_str() {
            // Source: IAM User Guide, "IAM and AWS STS quotas": 10,240 for all inline policies of a role together, 6,144 for a
            // managed policy, 2,048 for a trust policy.
            "AWS::IAM::Role" => {
                let inline = properties["Policies"].as_array().into_iter().flatten();
                let inline = inline.map(|policy| size(&policy["PolicyDocument"])).sum();
                vec![(inline, 10_240), (size(&properties["AssumeRolePolicyDocument"]), 2_048)]
            }
            "AWS::IAM::ManagedPolicy" => vec![(size(&properties["PolicyDocument"]), 6_144)],
            // Source: AWS PrivateLink Guide, "Control access to VPC endpoints using endpoint policies".
            "AWS::EC2::VPCEndpoint" => vec![(size(&properties["PolicyDocument"]), 20_480)],
            // Source: KMS Developer Guide, "Resource quotas".
            "AWS::KMS::Key" => vec![(size(&properties["KeyPolicy"]), 32_768)],
            // Source: S3 User Guide, "Bucket policies".
            "AWS::S3::BucketPolicy" => vec![(size(&properties["PolicyDocument"]), 20_480)],
            // Source: Secrets Manager User Guide, "AWS Secrets Manager quotas".
            "AWS::SecretsManager::ResourcePolicy" => vec![(size(&properties["ResourcePolicy"]), 20_480)],
            // Source: Lambda Developer Guide, "Lambda quotas": 4 KB.
            "AWS::Lambda::Function" => vec![(size(&properties["Environment"]["Variables"]), 4_096)],
            _ => continue,
        };
        for (size, limit) in sizes {
            assert!(size <= limit, "{} has {size} of {limit}", resource.path);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
