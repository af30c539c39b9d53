//! Field metadata: what `GET settings/fields` tells, and which values a field takes.

use serde_json::{Value, json};

/// Zoho's data types, as far as the seeded modules use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Phone,
    Email,
    Website,
    Textarea,
    Picklist,
    Multiselect,
    Integer,
    BigInt,
    Currency,
    Percent,
    Boolean,
    Date,
    DateTime,
    Lookup,
    Owner,
    Layout,
    Subform,
    FileUpload,
    Formula,
}

impl Kind {
    /// Zoho's `data_type`.
    pub(crate) fn data_type(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Website => "website",
            Self::Textarea => "textarea",
            Self::Picklist => "picklist",
            Self::Multiselect => "multiselectpicklist",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Currency => "currency",
            Self::Percent => "percent",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Lookup => "lookup",
            Self::Owner => "ownerlookup",
            Self::Layout => "layout",
            Self::Subform => "subform",
            Self::FileUpload => "fileupload",
            Self::Formula => "formula",
        }
    }

    /// Zoho's `json_type`: how a value travels.
    pub(crate) fn json_type(self) -> &'static str {
        match self {
            Self::Text
            | Self::Phone
            | Self::Email
            | Self::Website
            | Self::Textarea
            | Self::Picklist
            | Self::BigInt
            | Self::Date
            | Self::DateTime => "string",
            Self::Multiselect | Self::Subform | Self::FileUpload => "jsonarray",
            Self::Integer => "integer",
            Self::Currency | Self::Percent | Self::Formula => "double",
            Self::Boolean => "boolean",
            Self::Lookup | Self::Owner | Self::Layout => "jsonobject",
        }
    }

    /// Zoho's usual `length` for this type: characters, or digits.
    const fn length(self) -> usize {
        match self {
            Self::Text => 200,
            Self::Email => 100,
            Self::Phone => 30,
            Self::Website => 255,
            Self::Textarea => 32_000,
            Self::Picklist
            | Self::Lookup
            | Self::Owner
            | Self::Layout
            | Self::Subform
            | Self::FileUpload => 120,
            Self::Multiselect => 1000,
            Self::Integer => 9,
            Self::BigInt => 18,
            Self::Currency | Self::Formula => 16,
            Self::Percent | Self::Boolean => 5,
            Self::Date | Self::DateTime => 20,
        }
    }

    /// Whether Zoho's sample metadata ever shows `mass_update: true` for this type. `layout` is true there although
    /// the prose says otherwise.
    const fn mass_update(self) -> bool {
        !matches!(
            self,
            Self::Email
                | Self::Textarea
                | Self::Lookup
                | Self::Owner
                | Self::Subform
                | Self::FileUpload
                | Self::Formula
                | Self::BigInt
                | Self::DateTime
        )
    }
}

/// A rule that forbids a mass update of its primary field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// No rule.
    None,
    /// The field is the primary of a layout rule.
    Layout,
    /// The field is the primary of a validation rule.
    Validation,
}

/// One field of a module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// The API name.
    pub(crate) name: &'static str,
    /// The type.
    pub(crate) kind: Kind,
    /// Characters, or digits, that a value may have.
    pub(crate) length: usize,
    /// Zoho's own flag: may a mass update set this field?
    pub(crate) mass_update: bool,
    /// The user's profile does not show the field.
    pub(crate) hidden: bool,
    /// The user's profile shows the field but does not let it be edited.
    pub(crate) read_only: bool,
    /// Kept by Zoho itself: nobody can edit it.
    pub(crate) system: bool,
    /// System mandatory: cannot be cleared.
    pub(crate) required: bool,
    /// Marked "do not allow duplicates"; such fields are not mass-updatable.
    pub(crate) unique: bool,
    /// The rule that the field is the primary of.
    pub(crate) rule: Rule,
    /// Options of a picklist: `actual`, or `display|actual` where the two differ; a leading `!` marks an option that
    /// is not in the layout (`type: unused`).
    options: &'static [&'static str],
}

/// One option of a picklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What the CRM's screens show.
    pub(crate) display: &'static str,
    /// What the API stores and expects.
    pub(crate) actual: &'static str,
    /// Whether the layout offers it.
    pub(crate) used: bool,
}

impl Field {
    /// A field with its type's usual traits.
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            length: kind.length(),
            mass_update: kind.mass_update(),
            hidden: false,
            read_only: false,
            system: matches!(kind, Kind::DateTime | Kind::Formula),
            required: false,
            unique: false,
            rule: Rule::None,
            options: &[],
        }
    }

    /// A picklist or multi-select with these options.
    pub(crate) const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// Not mass-updatable, although its type would be.
    pub(crate) const fn never(mut self) -> Self {
        self.mass_update = false;
        self
    }

    /// Not shown to the user's profile.
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Not editable for the user's profile.
    pub(crate) const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Kept by Zoho itself, and so not mass-updatable.
    pub(crate) const fn system(mut self) -> Self {
        self.system = true;
        self.never()
    }

    /// System mandatory.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// No duplicates allowed, and so not mass-updatable.
    pub(crate) const fn unique(mut self) -> Self {
        self.unique = true;
        self.never()
    }

    /// The primary of a rule.
    pub(crate) const fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// The options of a picklist, in their order.
    pub(crate) fn choices(&self) -> impl Iterator<Item = Choice> + use<> {
        self.options.iter().map(|text| {
            let (used, text) = match text.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, *text),
            };
            let (display, actual) = text.split_once('|').unwrap_or((text, text));
            Choice {
                display,
                actual,
                used,
            }
        })
    }

    /// The field as `GET settings/fields` shows it.
    pub(crate) fn json(&self, id: u64) -> Value {
        let options: Vec<Value> = self
            .choices()
            .enumerate()
            .map(|(index, choice)| {
                json!({
                    "display_value": choice.display,
                    "actual_value": choice.actual,
                    "reference_value": choice.actual,
                    "sequence_number": index + 1,
                    "colour_code": null,
                    "id": (id + 1_000 * (index as u64 + 1)).to_string(),
                    "type": if choice.used { "used" } else { "unused" },
                })
            })
            .collect();
        let decimals = (self.kind == Kind::Currency).then_some(DECIMALS);
        let label = self.name.replace('_', " ");
        let editable = !self.read_only && !self.system;
        let permission = match (self.hidden, self.read_only) {
            (true, _) => "hidden",
            (false, true) => "read_only",
            (false, false) => "read_write",
        };
        json!({
            "id": id.to_string(),
            "api_name": self.name,
            "display_label": label,
            "field_label": label,
            "data_type": self.kind.data_type(),
            "json_type": self.kind.json_type(),
            "length": self.length,
            "decimal_place": decimals,
            "mass_update": self.mass_update,
            "read_only": self.read_only,
            "field_read_only": self.system,
            "visible": !self.hidden,
            "operation_type": {
                "web_update": editable, "api_create": !self.system, "web_create": !self.system, "api_update": editable,
            },
            "system_mandatory": self.required,
            "custom_field": false,
            "virtual_field": false,
            "unique": if self.unique { json!({"case_sensitive": false}) } else { json!({}) },
            "pick_list_values": options,
            "lookup": {},
            "profiles": [{"permission_type": permission, "name": "Administrator", "id": "5725767000000026011"}],
            "type": "used",
        })
    }
}

/// Decimal places of a currency field.
pub(crate) const DECIMALS: usize = 2;
