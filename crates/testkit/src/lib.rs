//! A world to probe: live origin, licence server, token service, TLS, and their faults
