module drmwatch.io/e2e/adapter

go 1.24

require sigs.k8s.io/prometheus-adapter v0.12.0
