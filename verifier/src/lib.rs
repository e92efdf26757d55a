//! Raw message bytes, trust anchors and a point in time in; a verdict out.
