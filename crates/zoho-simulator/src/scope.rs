//! OAuth scopes that endpoints require.

/// A scope that must be granted, for a whole service or for one module of it.
pub(crate) struct RequiredScope {
    pub(crate) service: &'static str,
    pub(crate) module: Option<String>,
    pub(crate) operation: &'static str,
}

impl RequiredScope {
    /// The scope for reading a module's records.
    pub(crate) fn read_records(module: &str) -> Self {
        Self {
            service: "ZohoCRM.modules",
            module: Some(module.to_owned()),
            operation: "READ",
        }
    }

    /// The API name of the module.
    pub(crate) fn module(&self) -> Option<&str> {
        self.module.as_deref()
    }

    /// The narrowest scope that satisfies the requirement.
    pub(crate) fn narrowest(&self, is_custom: bool) -> String {
        match self.scope_module(is_custom) {
            Some(module) => format!("{}.{module}.{}", self.service, self.operation),
            None => format!("{}.{}", self.service, self.operation),
        }
    }

    /// The module as scopes spell it: without underscores, and `custom` for every custom module. Mass updates have one word
    /// for tasks, calls and meetings.
    fn scope_module(&self, is_custom: bool) -> Option<String> {
        let module = self.module.as_ref()?;
        Some(match module.as_str() {
            _ if is_custom => "custom".to_owned(),
            "Tasks" | "Calls" | "Events" if self.is_mass_update() => "activities".to_owned(),
            name => name.replace('_', "").to_lowercase(),
        })
    }

    fn is_mass_update(&self) -> bool {
        self.service == "ZohoCRM.mass_update"
    }

    /// Returns true if one of the granted scopes satisfies the requirement. Scopes are case-insensitive.
    pub(crate) fn is_granted<'a>(
        &self,
        mut granted: impl Iterator<Item = &'a str>,
        is_custom: bool,
    ) -> bool {
        let mut sufficient = vec![
            format!("{}.{}", self.service, self.operation),
            self.narrowest(is_custom),
        ];
        // Only `UPDATE` and `READ` are documented for mass updates, `CREATE` and `READ` for changes of owners.
        let is_write = matches!(self.operation, "CREATE" | "UPDATE" | "DELETE");
        let is_narrow = self.is_mass_update() || self.service == "ZohoCRM.change_owner";
        let containing = match (is_narrow, is_write) {
            (true, _) => &[][..],
            (false, true) => &["ALL", "WRITE"],
            (false, false) => &["ALL"],
        };
        for operation in containing {
            sufficient.push(format!("{}.{operation}", self.service));
            if let Some(module) = self.scope_module(is_custom) {
                sufficient.push(format!("{}.{module}.{operation}", self.service));
            }
        }
        if self.service.starts_with("ZohoCRM.settings.") {
            sufficient.push("ZohoCRM.settings.ALL".to_owned());
        }
        granted.any(|scope| {
            sufficient
                .iter()
                .any(|name| name.eq_ignore_ascii_case(scope))
        })
    }
}
