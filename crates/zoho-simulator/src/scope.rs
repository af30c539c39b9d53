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

    /// The module as scopes spell it: without underscores, and `custom` for every custom module.
    fn scope_module(&self, is_custom: bool) -> Option<String> {
        let module = self.module.as_ref()?;
        Some(if is_custom {
            "custom".to_owned()
        } else {
            module.replace('_', "").to_lowercase()
        })
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
        // No `.ALL` is documented for mass updates.
        if self.service != "ZohoCRM.mass_update" {
            sufficient.push(format!("{}.ALL", self.service));
            if let Some(module) = self.scope_module(is_custom) {
                sufficient.push(format!("{}.{module}.ALL", self.service));
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
