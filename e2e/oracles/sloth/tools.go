//go:build tools

// Package sloth pins Sloth, which `go install` can't fetch alone: its module list is not served everywhere.
package sloth

import _ "github.com/slok/sloth/cmd/sloth"
