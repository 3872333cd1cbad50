//! Histories told on purpose: each a thing that would be lost if it were forgotten.
