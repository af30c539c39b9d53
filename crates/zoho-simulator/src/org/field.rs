//! Field definitions.

mod metadata;

/// The Zoho data types that the seeded modules use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldType {
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
    AutoNumber,
    RollupSummary,
}

impl FieldType {
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
            Self::AutoNumber => "autonumber",
            Self::RollupSummary => "rollup_summary",
        }
    }

    /// Zoho's `json_type`: the JSON type of a value.
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
            | Self::DateTime
            | Self::AutoNumber => "string",
            Self::Multiselect | Self::Subform | Self::FileUpload => "jsonarray",
            Self::Integer => "integer",
            Self::Currency | Self::Percent | Self::Formula | Self::RollupSummary => "double",
            Self::Boolean => "boolean",
            Self::Lookup | Self::Owner | Self::Layout => "jsonobject",
        }
    }

    /// Zoho's usual `length` for this type, in characters or digits.
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
            | Self::FileUpload
            | Self::AutoNumber => 120,
            Self::Multiselect => 1000,
            Self::Integer => 9,
            Self::BigInt => 18,
            Self::Currency | Self::Formula | Self::RollupSummary => 16,
            Self::Percent | Self::Boolean => 5,
            Self::Date | Self::DateTime => 20,
        }
    }

    /// Whether Zoho's sample metadata shows `mass_update: true` for this type. It does for `layout`, although the
    /// documentation says that layouts cannot be updated.
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
                | Self::AutoNumber
                | Self::RollupSummary
                | Self::BigInt
                | Self::DateTime
        )
    }
}

/// A rule that forbids mass updates of its primary field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldRule {
    None,
    /// A layout rule.
    Layout,
    /// A validation rule.
    Validation,
}

/// The formula of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formula {
    /// The Zoho data type of its values.
    pub(crate) return_type: &'static str,
    /// The formula as Zoho writes it.
    pub(crate) expression: &'static str,
    /// The fields whose quotient it is; the values of any other formula are seeded.
    pub(crate) quotient: Option<(&'static str, &'static str)>,
}

/// One field of a module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// The API name.
    pub(crate) name: &'static str,
    pub(crate) field_type: FieldType,
    /// The maximum length of a value, in characters or digits.
    pub(crate) length: usize,
    /// Zoho's flag: whether a mass update may set the field.
    pub(crate) mass_update: bool,
    /// Whether the user's profile hides the field.
    pub(crate) hidden: bool,
    /// Whether the user's profile shows the field but does not allow editing it.
    pub(crate) read_only: bool,
    /// Whether Zoho maintains the field, so that users cannot edit it.
    pub(crate) system: bool,
    /// Whether the field is system mandatory and cannot be cleared.
    pub(crate) required: bool,
    /// Whether duplicates are forbidden. Such fields cannot be mass-updated.
    pub(crate) unique: bool,
    /// The rule whose primary field it is.
    pub(crate) rule: FieldRule,
    /// Whether it is the picklist of a blueprint.
    pub(crate) blueprint: bool,
    /// The module of the records that a lookup field references.
    pub(crate) lookup: Option<&'static str>,
    /// The formula of a formula field.
    pub(crate) formula: Option<Formula>,
    /// Options of a picklist: `actual`, or `display|actual` if they differ. A leading `!` marks an option that is not in
    /// the layout (`type: unused`).
    options: &'static [&'static str],
}

/// One option of a picklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PicklistOption {
    /// The value that the CRM's screens show.
    pub(crate) display: &'static str,
    /// The value that the API uses.
    pub(crate) actual: &'static str,
    /// Whether the layout contains it.
    pub(crate) used: bool,
}

impl Field {
    /// A field with the defaults of its type.
    pub(crate) const fn new(name: &'static str, field_type: FieldType) -> Self {
        Self {
            name,
            field_type,
            length: field_type.length(),
            mass_update: field_type.mass_update(),
            hidden: false,
            read_only: false,
            system: matches!(
                field_type,
                FieldType::DateTime
                    | FieldType::Formula
                    | FieldType::AutoNumber
                    | FieldType::RollupSummary
            ),
            required: false,
            unique: false,
            rule: FieldRule::None,
            blueprint: false,
            lookup: None,
            formula: None,
            options: &[],
        }
    }

    /// Sets the options of a picklist or multi-select.
    pub(crate) const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// Excludes the field from mass updates, although its type allows them.
    pub(crate) const fn not_mass_updatable(mut self) -> Self {
        self.mass_update = false;
        self
    }

    /// Hides the field from the user's profile.
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Makes the field read-only for the user's profile.
    pub(crate) const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Marks the field as maintained by Zoho, which excludes it from mass updates.
    pub(crate) const fn system(mut self) -> Self {
        self.system = true;
        self.not_mass_updatable()
    }

    /// Lets users edit a field of a type that Zoho usually maintains.
    pub(crate) const fn editable(mut self) -> Self {
        self.system = false;
        self
    }

    /// Makes the field the picklist of a blueprint.
    pub(crate) const fn blueprint(mut self) -> Self {
        self.blueprint = true;
        self
    }

    /// Sets the module that a lookup field references.
    pub(crate) const fn lookup(mut self, module: &'static str) -> Self {
        self.lookup = Some(module);
        self
    }

    /// Sets the formula of a formula field.
    pub(crate) const fn formula(
        mut self,
        return_type: &'static str,
        expression: &'static str,
    ) -> Self {
        self.formula = Some(Formula {
            return_type,
            expression,
            quotient: None,
        });
        self
    }

    /// Makes a formula field the quotient of two other fields.
    pub(crate) const fn quotient(
        mut self,
        expression: &'static str,
        dividend: &'static str,
        divisor: &'static str,
    ) -> Self {
        self.formula = Some(Formula {
            return_type: "double",
            expression,
            quotient: Some((dividend, divisor)),
        });
        self
    }

    /// Makes the field system mandatory.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Forbids duplicates, which excludes the field from mass updates.
    pub(crate) const fn unique(mut self) -> Self {
        self.unique = true;
        self.not_mass_updatable()
    }

    /// Makes the field the primary field of a rule.
    pub(crate) const fn rule(mut self, rule: FieldRule) -> Self {
        self.rule = rule;
        self
    }

    /// The options of a picklist as they are defined.
    pub(crate) const fn option_texts(&self) -> &'static [&'static str] {
        self.options
    }

    /// The options of a picklist, in order.
    pub(crate) fn picklist_options(&self) -> impl Iterator<Item = PicklistOption> + use<> {
        self.options.iter().map(|text| {
            let (used, text) = match text.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, *text),
            };
            let (display, actual) = text.split_once('|').unwrap_or((text, text));
            PicklistOption {
                display,
                actual,
                used,
            }
        })
    }
}

/// Decimal places of a currency field.
pub(crate) const CURRENCY_DECIMALS: usize = 2;

/// The prefix of every auto-number.
pub(crate) const AUTO_NUMBER_PREFIX: &str = "NO-";
