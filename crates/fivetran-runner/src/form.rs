//! The setup form: defaults for values that the user left out, and values that must stay secret.

use std::collections::{BTreeMap, BTreeSet};

use fivetran_proto::{
    ConditionalFields, ConfigurationFormResponse, FormField, TextField, form_field::Type,
    visibility_condition::VisibleWhen,
};
use secret_redactor::Redactor;

/// The configuration to send: the user's values, and the form's defaults for visible fields that were left out.
pub(super) fn complete(
    form: &ConfigurationFormResponse,
    answers: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut complete = answers.clone();
    add_defaults(&form.fields, &mut complete);
    complete
}

fn add_defaults(fields: &[FormField], answers: &mut BTreeMap<String, String>) {
    for field in fields {
        if let Some(Type::ConditionalFields(group)) = &field.r#type {
            if is_visible(group, answers) {
                add_defaults(&group.fields, answers);
            }
        } else if let Some(default) = &field.default_value {
            answers
                .entry(field.name.clone())
                .or_insert_with(|| default.clone());
        }
    }
}

fn is_visible(group: &ConditionalFields, answers: &BTreeMap<String, String>) -> bool {
    let Some(condition) = &group.condition else {
        return true;
    };
    let answer = answers
        .get(&condition.condition_field)
        .map_or("", String::as_str);
    match &condition.visible_when {
        Some(VisibleWhen::BoolValue(wanted)) => {
            answer.eq_ignore_ascii_case(if *wanted { "true" } else { "false" })
        }
        Some(VisibleWhen::StringValue(wanted)) => answer == wanted,
        Some(VisibleWhen::EmptyValue(wanted)) => answer.is_empty() == *wanted,
        None => true,
    }
}

/// The fields that the answers make visible.
pub(super) fn visible_fields<'a>(
    form: &'a ConfigurationFormResponse,
    answers: &BTreeMap<String, String>,
) -> Vec<&'a FormField> {
    let mut visible = Vec::new();
    let mut fields: Vec<&FormField> = form.fields.iter().rev().collect();
    while let Some(field) = fields.pop() {
        match &field.r#type {
            Some(Type::ConditionalFields(group)) if is_visible(group, answers) => {
                fields.extend(group.fields.iter().rev());
            }
            Some(Type::ConditionalFields(_)) => {}
            _ => visible.push(field),
        }
    }
    visible
}

/// All fields of the form by name, whether they are visible or not.
pub(super) fn fields(form: &ConfigurationFormResponse) -> BTreeMap<&str, &FormField> {
    let mut fields = BTreeMap::new();
    walk(&form.fields, &mut |field| {
        fields.insert(field.name.as_str(), field);
    });
    fields
}

/// The names of values for which the form has no field; most likely typing errors.
pub(super) fn unknown(
    form: &ConfigurationFormResponse,
    answers: &BTreeMap<String, String>,
) -> Vec<String> {
    let fields = fields(form);
    if fields.is_empty() {
        return Vec::new();
    }
    answers
        .keys()
        .filter(|name| !fields.contains_key(name.as_str()))
        .cloned()
        .collect()
}

fn walk<'a>(fields: &'a [FormField], visit: &mut impl FnMut(&'a FormField)) {
    for field in fields {
        if let Some(Type::ConditionalFields(group)) = &field.r#type {
            walk(&group.fields, visit);
        } else {
            visit(field);
        }
    }
}

/// Returns a redactor of the values that the form hides while they are typed, and of those with a name that sounds
/// secret.
pub(super) fn redactor(
    form: &ConfigurationFormResponse,
    configuration: &BTreeMap<String, String>,
) -> Redactor {
    let mut hidden = BTreeSet::new();
    walk(&form.fields, &mut |field| {
        if let Some(Type::TextField(kind)) = field.r#type
            && kind != i32::from(TextField::PlainText)
        {
            hidden.insert(field.name.as_str());
        }
    });
    let secrets = configuration
        .iter()
        .filter(|(name, _)| hidden.contains(name.as_str()) || sounds_secret(name));
    Redactor::new(secrets.map(|(_, value)| value.as_str()))
}

/// Returns a redactor for the time before the form is known: names that sound secret decide.
pub fn redactor_by_names(configuration: &BTreeMap<String, String>) -> Redactor {
    redactor(&ConfigurationFormResponse::default(), configuration)
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "token", "secret", "password", "credential", "auth"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fivetran_proto::VisibilityCondition;

    fn field(name: &str, default: Option<&str>) -> FormField {
        FormField {
            name: name.into(),
            default_value: default.map(Into::into),
            r#type: Some(Type::TextField(TextField::PlainText.into())),
            ..FormField::default()
        }
    }

    fn shown_when(condition: &str, when: VisibleWhen, fields: Vec<FormField>) -> FormField {
        let condition = VisibilityCondition {
            condition_field: condition.into(),
            visible_when: Some(when),
        };
        FormField {
            r#type: Some(Type::ConditionalFields(ConditionalFields {
                condition: Some(condition),
                fields,
            })),
            ..FormField::default()
        }
    }

    fn answers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        owned.collect()
    }

    #[test]
    fn defaults_fill_what_is_missing_and_visible() {
        let cloud = VisibleWhen::StringValue("cloud".into());
        let server = VisibleWhen::StringValue("server".into());
        let form = ConfigurationFormResponse {
            fields: vec![
                field("kind", Some("cloud")),
                field("page", Some("200")),
                field("note", None),
                shown_when("kind", cloud, vec![field("url", Some("https://cloud"))]),
                shown_when("kind", server, vec![field("port", Some("4200"))]),
            ],
            ..ConfigurationFormResponse::default()
        };
        assert_eq!(
            complete(&form, &answers(&[("page", "")])),
            answers(&[("kind", "cloud"), ("page", ""), ("url", "https://cloud")])
        );
        assert_eq!(
            unknown(&form, &answers(&[("pgae", "1"), ("port", "1")])),
            ["pgae"]
        );
    }

    #[test]
    fn secrets_are_taken_out_of_texts() {
        let mut hidden = field("pin", None);
        hidden.r#type = Some(Type::TextField(TextField::Password.into()));
        let form = ConfigurationFormResponse {
            fields: vec![hidden, field("workspace", None)],
            ..ConfigurationFormResponse::default()
        };
        let configuration = answers(&[
            ("pin", "abcd"),
            ("api_key", "abcdefgh"),
            ("workspace", "visible"),
        ]);
        let redactor = redactor(&form, &configuration);
        assert_eq!(
            redactor.clean("abcdefgh and abcd in visible"),
            "*** and *** in visible"
        );
    }
}
