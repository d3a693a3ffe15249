//! A deployment on paper.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::{Templates, identity};

/// The parameters of a stack, each as a text, as CloudFormation takes them.
pub type Parameters = BTreeMap<String, String>;

/// Where a stack is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The account's twelve digits.
    pub account: String,
    /// The region, as `eu-central-1`.
    pub region: String,
    /// The stack's name.
    pub stack: String,
}

impl Place {
    pub(super) fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") { "aws-cn" } else { "aws" }
    }

    pub(super) fn suffix(&self) -> &'static str {
        if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
    }
}

/// Every resource that a deployment makes, those of nested stacks among them.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// In the order of the templates.
    pub resources: Vec<Resource>,
    /// What the root stack hands out.
    pub outputs: BTreeMap<String, Value>,
}

/// A resource as it would be made.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its logical name, behind those of the nested stacks it is in: `Audit/Table`.
    pub path: String,
    /// Its type: `AWS::DynamoDB::Table`.
    pub kind: String,
    /// Its own name.
    pub name: String,
    /// Its ARN, where its kind has one that matters.
    pub arn: Option<String>,
    /// What `Ref` yields.
    pub reference: String,
    /// Its properties, with nothing left to resolve.
    pub properties: Value,
    /// Whether what it holds outlives it: it is kept, or a snapshot of it (`DeletionPolicy`).
    pub retained: bool,
}

impl Deployment {
    /// The resources of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// The resource that something names: by its ARN, by what `Ref` yields, or by its name.
    pub fn named(&self, kind: &str, by: &str) -> Option<&Resource> {
        let mut all = self.resources.iter().filter(|one| one.kind == kind);
        all.find(|one| one.arn.as_deref() == Some(by) || one.reference == by || one.name == by)
    }
}

impl Templates {
    /// Deploys a template on paper.
    ///
    /// # Errors
    /// When CloudFormation would refuse it: a parameter that is missing, unknown or not allowed, a broken rule, a
    /// reference to what is not there. Also when it uses a function that is not known here.
    pub fn deploy(&self, root: &str, place: Place, parameters: &Parameters) -> Result<Deployment> {
        let given = parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let stack = Stack::new(self, root, place, String::new(), given.collect())?;
        let mut resources = Vec::new();
        stack.collect(&mut resources)?;
        Ok(Deployment { resources, outputs: stack.outputs()? })
    }
}

/// A stack while it is resolved.
struct Stack<'t> {
    templates: &'t Templates,
    template: &'t Value,
    place: Place,
    /// The logical names of the nested stacks above, each with a slash behind it.
    path: String,
    parameters: BTreeMap<String, Value>,
    nested: RefCell<BTreeMap<String, Rc<Self>>>,
}

impl<'t> Stack<'t> {
    fn new(
        templates: &'t Templates,
        file: &str,
        place: Place,
        path: String,
        mut given: BTreeMap<String, Value>,
    ) -> Result<Self> {
        let template = templates.get(file)?;
        let mut parameters = BTreeMap::new();
        for (name, declared) in object(&template["Parameters"]) {
            let value = given.remove(name).or_else(|| declared.get("Default").cloned());
            let value = value.with_context(|| format!("{file}: the parameter {name} is missing"))?;
            let value = parameter(declared, &value).with_context(|| format!("{file}: the parameter {name}"))?;
            parameters.insert(name.clone(), value);
        }
        ensure!(given.is_empty(), "{file}: there are no parameters {:?}", given.keys());
        let stack = Self { templates, template, place, path, parameters, nested: RefCell::default() };
        stack.keep_rules().with_context(|| format!("in {file}"))?;
        Ok(stack)
    }

    fn keep_rules(&self) -> Result<()> {
        for (name, rule) in object(&self.template["Rules"]) {
            if rule.get("RuleCondition").map_or(Ok(true), |condition| self.truth(condition))? {
                for assertion in rule["Assertions"].as_array().into_iter().flatten() {
                    ensure!(self.truth(&assertion["Assert"])?, "the rule {name}: {}", assertion["AssertDescription"]);
                }
            }
        }
        Ok(())
    }

    fn collect(&self, into: &mut Vec<Resource>) -> Result<()> {
        for (id, declared) in object(&self.template["Resources"]) {
            if !self.exists(declared)? {
                continue;
            }
            if declared["Type"] == NESTED {
                self.nested(id)?.collect(into)?;
                continue;
            }
            let path = format!("{}{id}", self.path);
            let properties = self.value(&declared["Properties"]).with_context(|| path.clone())?;
            let (kind, name) = (text(&declared["Type"])?, self.name(id)?);
            into.push(Resource {
                arn: identity::arn(&kind, &name, &self.place),
                reference: identity::reference(&kind, &name, &self.place),
                retained: declared["DeletionPolicy"].as_str().is_some_and(|policy| policy != "Delete"),
                properties: properties.unwrap_or_else(|| json!({})),
                path,
                kind,
                name,
            });
        }
        Ok(())
    }

    fn outputs(&self) -> Result<BTreeMap<String, Value>> {
        let mut outputs = BTreeMap::new();
        for (name, output) in object(&self.template["Outputs"]) {
            if self.exists(output)? {
                let value = self.value(&output["Value"]).with_context(|| format!("{}{name}", self.path))?;
                outputs.insert(name.clone(), value.with_context(|| format!("the output {name} has no value"))?);
            }
        }
        Ok(outputs)
    }

    fn exists(&self, declared: &Value) -> Result<bool> {
        declared["Condition"].as_str().map_or(Ok(true), |name| self.condition(name))
    }

    fn resource(&self, id: &str) -> Result<&'t Value> {
        let declared = self.template["Resources"].get(id).with_context(|| format!("there is nothing called {id}"))?;
        ensure!(self.exists(declared)?, "{id} is referred to, and its condition does not hold");
        Ok(declared)
    }

    fn nested(&self, id: &str) -> Result<Rc<Self>> {
        if let Some(stack) = self.nested.borrow().get(id) {
            return Ok(Rc::clone(stack));
        }
        let properties = &self.resource(id)?["Properties"];
        let mut given = BTreeMap::new();
        for (name, value) in object(&properties["Parameters"]) {
            let value = self.value(value).with_context(|| format!("{}{id}: {name}", self.path))?;
            given.extend(value.map(|value| (name.clone(), value)));
        }
        let place = Place { stack: format!("{}-{id}", self.place.stack), ..self.place.clone() };
        let path = format!("{}{id}/", self.path);
        let stack = Rc::new(Self::new(self.templates, &text(&properties["TemplateURL"])?, place, path, given)?);
        self.nested.borrow_mut().insert(id.to_owned(), Rc::clone(&stack));
        Ok(stack)
    }

    fn name(&self, id: &str) -> Result<String> {
        let declared = self.resource(id)?;
        let property = declared["Type"].as_str().and_then(identity::name_property);
        let given = match property.and_then(|property| declared["Properties"].get(property)) {
            Some(name) => self.value(name)?,
            None => None,
        };
        given.map_or_else(|| Ok(format!("{}-{id}", self.place.stack)), |name| text(&name))
    }

    /// Something of a template, resolved. Nothing, if it is `AWS::NoValue`.
    fn value(&self, written: &Value) -> Result<Option<Value>> {
        match written {
            Value::Object(fields) => match call(fields) {
                Some((function, argument)) => self.call(function, argument),
                None => {
                    let mut resolved = Map::new();
                    for (name, field) in fields {
                        if let Some(value) = self.value(field)? {
                            resolved.insert(name.clone(), value);
                        }
                    }
                    Ok(Some(resolved.into()))
                }
            },
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| self.value(item).transpose());
                items.collect::<Result<Vec<_>>>().map(|items| Some(items.into()))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Some(written.clone())),
        }
    }

    fn some(&self, written: &Value) -> Result<Value> {
        self.value(written)?.with_context(|| format!("{written} has no value"))
    }

    fn text(&self, written: &Value) -> Result<String> {
        text(&self.some(written)?)
    }

    fn list(&self, written: &Value) -> Result<Vec<Value>> {
        let value = self.some(written)?;
        value.as_array().cloned().with_context(|| format!("{value} is not a list"))
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Option<Value>> {
        Ok(Some(match function {
            "Ref" => return self.reference(&text(argument)?),
            "Fn::If" => {
                let branch = if self.condition(&text(&argument[0])?)? { &argument[1] } else { &argument[2] };
                return self.value(branch);
            }
            "Fn::GetAtt" => self.attribute(argument)?,
            "Fn::Sub" => self.substitute(argument)?.into(),
            "Fn::Join" => {
                let parts = self.list(&argument[1])?;
                let parts = parts.iter().map(text).collect::<Result<Vec<_>>>()?;
                parts.join(&text(&argument[0])?).into()
            }
            "Fn::Split" => {
                let whole = self.text(&argument[1])?;
                whole.split(&text(&argument[0])?).map(Value::from).collect()
            }
            "Fn::Select" => {
                let (index, items) = (self.text(&argument[0])?.parse::<usize>()?, self.list(&argument[1])?);
                items.get(index).with_context(|| format!("there is no item {index}"))?.clone()
            }
            "Fn::FindInMap" => {
                let mut found = &self.template["Mappings"];
                for key in argument.as_array().into_iter().flatten().take(3) {
                    let key = self.text(key)?;
                    found = found.get(&key).with_context(|| format!("no map has {key}"))?;
                }
                found.clone()
            }
            "Fn::GetAZs" => ["a", "b", "c"].map(|zone| format!("{}{zone}", self.place.region)).to_vec().into(),
            "Fn::Cidr" => {
                let (block, count) = (self.text(&argument[0])?, self.text(&argument[1])?.parse::<u8>()?);
                let mut digits = block.split('.');
                let (first, second) = (digits.next().unwrap_or_default(), digits.next().unwrap_or_default());
                (0..count).map(|third| format!("{first}.{second}.{third}.0/24")).collect::<Vec<_>>().into()
            }
            "Fn::ImportValue" => format!("imported:{}", self.text(argument)?).into(),
            "Fn::Base64" => self.text(argument)?.into(),
            "Condition" => self.condition(&text(argument)?)?.into(),
            _ => self.truth(&json!({ function: argument }))?.into(),
        }))
    }

    fn reference(&self, to: &str) -> Result<Option<Value>> {
        let (place, pseudo) = (&self.place, to.strip_prefix("AWS::"));
        if let Some(pseudo) = pseudo {
            return Ok(Some(match pseudo {
                "NoValue" => return Ok(None),
                "AccountId" => place.account.as_str().into(),
                "Region" => place.region.as_str().into(),
                "Partition" => place.partition().into(),
                "URLSuffix" => place.suffix().into(),
                "StackName" => place.stack.as_str().into(),
                "StackId" => format!(
                    "arn:{}:cloudformation:{}:{}:stack/{}/00000000-0000-0000-0000-000000000000",
                    place.partition(),
                    place.region,
                    place.account,
                    place.stack
                )
                .into(),
                _ => bail!("the pseudo parameter {to} is not known here"),
            }));
        }
        if let Some(value) = self.parameters.get(to) {
            return Ok(Some(value.clone()));
        }
        let declared = self.resource(to)?;
        let kind = text(&declared["Type"])?;
        if kind == "AWS::SecretsManager::SecretTargetAttachment" {
            // It is the secret, with the target in it.
            return self.value(&declared["Properties"]["SecretId"]);
        }
        Ok(Some(identity::reference(&kind, &self.name(to)?, place).into()))
    }

    fn attribute(&self, argument: &Value) -> Result<Value> {
        let parts = match argument.as_array() {
            Some(parts) => parts.iter().map(text).collect::<Result<Vec<_>>>()?,
            None => text(argument)?.split('.').map(str::to_owned).collect(),
        };
        let (id, attribute) = parts.split_first().context("an attribute of nothing")?;
        let (kind, attribute) = (text(&self.resource(id)?["Type"])?, attribute.join("."));
        if kind == NESTED {
            let output = attribute.strip_prefix("Outputs.").context("a stack has outputs only")?;
            let mut outputs = self.nested(id)?.outputs()?;
            return outputs.remove(output).with_context(|| format!("the stack {id} has no output {output}"));
        }
        Ok(identity::attribute(&kind, &self.name(id)?, &attribute, &self.place).into())
    }

    fn substitute(&self, argument: &Value) -> Result<String> {
        let none = Map::new();
        let (pattern, own) = match argument.as_array() {
            Some(both) => (text(&both[0])?, object(&both[1])),
            None => (text(argument)?, &none),
        };
        let (mut whole, mut rest) = (String::new(), pattern.as_str());
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').context("a ${ without its }")?;
            whole.push_str(before);
            match (name.strip_prefix('!'), own.get(name)) {
                (Some(literal), _) => whole.push_str(&format!("${{{literal}}}")),
                (None, Some(value)) => whole.push_str(&self.text(value)?),
                (None, None) if name.contains('.') => whole.push_str(&text(&self.attribute(&name.into())?)?),
                (None, None) => whole.push_str(&text(&self.reference(name)?.context("no value")?)?),
            }
            rest = behind;
        }
        Ok(whole + rest)
    }

    fn condition(&self, name: &str) -> Result<bool> {
        let written = self.template["Conditions"].get(name).with_context(|| format!("there is no condition {name}"))?;
        self.truth(written).with_context(|| format!("the condition {name}"))
    }

    fn truth(&self, written: &Value) -> Result<bool> {
        let (function, argument) = written.as_object().and_then(call).with_context(|| format!("{written}?"))?;
        let each = || argument.as_array().into_iter().flatten().map(|one| self.truth(one));
        Ok(match function {
            "Fn::Equals" => self.some(&argument[0])? == self.some(&argument[1])?,
            "Fn::Not" => !self.truth(&argument[0])?,
            "Fn::And" => each().collect::<Result<Vec<_>>>()?.into_iter().all(|holds| holds),
            "Fn::Or" => each().collect::<Result<Vec<_>>>()?.into_iter().any(|holds| holds),
            "Fn::EachMemberEquals" => {
                let wanted = self.some(&argument[1])?;
                self.list(&argument[0])?.iter().all(|one| *one == wanted)
            }
            "Fn::EachMemberIn" => {
                let allowed = self.list(&argument[1])?;
                self.list(&argument[0])?.iter().all(|one| allowed.contains(one))
            }
            "Fn::Contains" => self.list(&argument[0])?.contains(&self.some(&argument[1])?),
            "Condition" => self.condition(&text(argument)?)?,
            _ => bail!("the function {function} is not known here"),
        })
    }
}

const NESTED: &str = "AWS::CloudFormation::Stack";

/// The function that an object calls, if it is a call.
fn call(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = fields.iter().next().filter(|_| fields.len() == 1)?;
    // A policy has a field `Condition` too, and an object in it.
    let is_call = name == "Ref" || name.starts_with("Fn::") || (name == "Condition" && argument.is_string());
    is_call.then_some((name, argument))
}

/// A parameter's value as `Ref` yields it.
fn parameter(declared: &Value, given: &Value) -> Result<Value> {
    let kind = text(&declared["Type"])?;
    if let Some(allowed) = declared["AllowedValues"].as_array() {
        let given = text(given)?;
        ensure!(
            allowed.iter().any(|one| text(one).is_ok_and(|one| one == given)),
            "{given:?} is not among {allowed:?}"
        );
    }
    let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
    Ok(match given.as_array() {
        Some(items) if is_list => items.clone().into(),
        // A nested stack is given a list as one text.
        Some(items) => items.iter().map(text).collect::<Result<Vec<_>>>()?.join(",").into(),
        None if is_list => text(given)?.split(',').map(|item| Value::from(item.trim())).collect(),
        None => text(given)?.into(),
    })
}

fn object(value: &Value) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY)
}

/// A scalar as CloudFormation writes it.
fn text(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => bail!("{value} is not a text"),
    }
}
