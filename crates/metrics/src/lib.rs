//! The one catalogue of metrics: name, unit, labels and meaning of each
