//! A signature scheme as data: one declarative record per vendor, and the presets.
