//go:build tools

// Package adapter pins prometheus-adapter, which `go install` can't fetch alone: its module list is not served everywhere.
package adapter

import _ "sigs.k8s.io/prometheus-adapter/cmd/adapter"
