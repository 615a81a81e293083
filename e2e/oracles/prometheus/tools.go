//go:build tools

// Package tools pins the Prometheus 3 that the tests run beside Debian's Prometheus 2.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
