//! The engine: run(Plan) -> Outcome; the only door to tenants' networks
