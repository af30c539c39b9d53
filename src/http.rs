//! The one HTTP client for Zoho and callbacks: guarded, without redirects, with capped answers.
