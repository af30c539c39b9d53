//! Secret references and where they are resolved.
