//! The protocol files match the contract of Fivetran's SDK: nothing is missing, nothing is extra.
//!
//! `proto/WIRE.md` lists the contract line by line. The test converts that file and the compiled descriptor into sets
//! of facts, one line of text each, and the sets must be equal. Otherwise a wrong number would show only as a column
//! of nulls in a user's warehouse.

use std::{collections::BTreeSet, fs, path::Path};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

type Facts = BTreeSet<String>;

#[test]
fn the_descriptor_and_the_written_contract_agree_in_both_directions() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let written = written_facts(&fs::read_to_string(proto.join("WIRE.md")).unwrap());
    let compiled = compiled_facts(&proto);

    let missing: Vec<_> = written.difference(&compiled).collect();
    let extra: Vec<_> = compiled.difference(&written).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "in the contract, not in proto/:\n{missing:#?}\nin proto/, not in the contract:\n{extra:#?}"
    );
    // Guards the comparison itself: two empty sets are equal, too.
    assert!(compiled.len() > 150, "only {} facts", compiled.len());
}

#[test]
fn no_file_in_proto_is_left_out() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut files: Vec<_> = fs::read_dir(&proto)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["WIRE.md", "common.proto", "connector_sdk.proto"]);
}

// The descriptor.

fn compiled_facts(proto: &Path) -> Facts {
    let mut facts = Facts::new();
    let set = protox::compile([proto.join("connector_sdk.proto")], [proto]).unwrap();
    for file in set.file {
        if file.package() != "google.protobuf" {
            file_facts(&file, &mut facts);
        }
    }
    facts
}

fn file_facts(file: &FileDescriptorProto, facts: &mut Facts) {
    let name = file.name();
    facts.insert(format!("{name}: {} {}", file.package(), file.syntax()));
    for message in &file.message_type {
        message_facts(name, message, facts);
    }
    for each in &file.enum_type {
        enum_facts(name, each, facts);
    }
    for service in &file.service {
        service_facts(name, service, facts);
    }
    assert!(file.extension.is_empty(), "{name} has extensions");
}

fn message_facts(file: &str, message: &DescriptorProto, facts: &mut Facts) {
    let name = message.name();
    facts.insert(format!("{file}: message {name}"));
    for field in &message.field {
        facts.insert(format!(
            "{file}: {name} {} `{}` {} {}",
            field.number(),
            field.name(),
            field_type(message, field),
            presence(message, field)
        ));
    }
    let maps = message.nested_type.iter().filter(|nested| is_map(nested));
    assert_eq!(maps.count(), message.nested_type.len(), "{name} nests");
    assert!(message.enum_type.is_empty(), "{name} nests an enum");
}

fn field_type(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    if let Some(entry) = map_entry(message, field) {
        let side = |index: usize| base_type(&entry.field[index]);
        return format!("map<{}, {}>", side(0), side(1));
    }
    let base = base_type(field);
    match field.label() {
        Label::Repeated => format!("repeated {base}"),
        _ => base,
    }
}

fn base_type(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => field
            .type_name()
            .trim_start_matches(".fivetran_sdk.v2.")
            .trim_start_matches('.')
            .to_owned(),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    }
}

fn presence(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    match field.oneof_index {
        _ if field.proto3_optional() => "optional".to_owned(),
        Some(index) => {
            let index = usize::try_from(index).unwrap();
            format!("oneof `{}`", message.oneof_decl[index].name())
        }
        None => "plain".to_owned(),
    }
}

fn map_entry<'a>(
    message: &'a DescriptorProto,
    field: &FieldDescriptorProto,
) -> Option<&'a DescriptorProto> {
    let name = field.type_name().rsplit('.').next()?;
    let mut nested = message.nested_type.iter();
    nested.find(|nested| is_map(nested) && nested.name() == name)
}

fn is_map(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(prost_types::MessageOptions::map_entry)
}

fn enum_facts(file: &str, each: &EnumDescriptorProto, facts: &mut Facts) {
    for value in &each.value {
        facts.insert(format!(
            "{file}: enum {} {}={}",
            each.name(),
            value.name(),
            value.number()
        ));
    }
}

fn service_facts(file: &str, service: &ServiceDescriptorProto, facts: &mut Facts) {
    let local = |name: &str| name.trim_start_matches(".fivetran_sdk.v2.").to_owned();
    let stream = |yes: bool| if yes { "stream " } else { "" };
    for method in &service.method {
        facts.insert(format!(
            "{file}: service {} {}({}{}) -> {}{}",
            service.name(),
            method.name(),
            stream(method.client_streaming()),
            local(method.input_type()),
            stream(method.server_streaming()),
            local(method.output_type()),
        ));
    }
}

// The written contract.

/// Reads every line. A line that fits no rule fails the test, so that a typing error skips nothing.
fn written_facts(text: &str) -> Facts {
    let mut facts = Facts::new();
    let mut file = "";
    let mut message = "";
    let headless = text.split_once("\n## ").expect("a first section").1;
    for line in format!("## {headless}").lines() {
        if let Some(rest) = line.strip_prefix("## File `") {
            file = up_to(rest, '`');
            let package = rest.split("package `").nth(1).expect("a package");
            let package = package.split('`').next().unwrap();
            facts.insert(format!("{file}: {package} proto3"));
        } else if let Some(rest) = line.strip_prefix("**enum ") {
            let (name, values) = rest.split_once("**: ").expect("enum values");
            let values = values.split(", ");
            facts.extend(values.map(|value| format!("{file}: enum {name} {value}")));
        } else if let Some(rest) = line.strip_prefix("**service ") {
            let (name, methods) = rest.split_once("**: ").expect("methods");
            let methods = methods.split("; ").map(|method| method.trim_matches('`'));
            facts.extend(methods.map(|method| format!("{file}: service {name} {method}")));
        } else if let Some(rest) = line.strip_prefix("**") {
            message = up_to(rest, '*');
            facts.insert(format!("{file}: message {message}"));
        } else if line.starts_with("| no. |") || line.starts_with("|---") || line.is_empty() {
            // The head of a table.
        } else if let Some(row) = line.strip_prefix("| ") {
            facts.insert(format!("{file}: {message} {}", field_row(row)));
        } else {
            panic!("not understood: {line}");
        }
    }
    facts
}

fn field_row(row: &str) -> String {
    let cells: Vec<_> = row.split('|').map(str::trim).collect();
    let [number, name, kind, presence, ""] = cells[..] else {
        panic!("not a field: {row}");
    };
    let presence = if presence.is_empty() {
        "plain"
    } else {
        presence
    };
    format!("{number} {name} {kind} {presence}")
}

/// Returns the part of `text` before `end`.
fn up_to(text: &str, end: char) -> &str {
    text.split(end).next().unwrap()
}
