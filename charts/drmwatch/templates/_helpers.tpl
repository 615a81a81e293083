{{- define "drmwatch.image" -}}
{{ .root.Values.image.repository }}/{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- define "drmwatch.selector" -}}
app.kubernetes.io/name: drmwatch-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "drmwatch.labels" -}}
{{ include "drmwatch.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
{{- /* Which rule files suit the view that the Prometheus here has. */ -}}
{{- define "drmwatch.rules" -}}
{{- $parts := dict "regional" (list "infrastructure" "regional") "global" (list "global") "central" (list "infrastructure" "global") "infrastructure" (list "infrastructure") -}}
{{- get $parts .Values.rules.scope | toJson -}}
{{- end -}}
{{- /* What tenants' objectives become here. */ -}}
{{- define "drmwatch.objectives" -}}
{{- if eq .Values.rules.scope "infrastructure" }}none{{ else if .Values.rules.prometheusRule }}prometheus-rule{{ else if .Values.rules.configMap }}config-map{{ else }}none{{ end }}
{{- end -}}
{{- /* Where the bridge takes notifications. */ -}}
{{- define "drmwatch.bridge" -}}
http://drmwatch-bridge.{{ .Release.Namespace }}.svc:9467
{{- end -}}
{{- define "drmwatch.bridge.selector" -}}
app.kubernetes.io/name: drmwatch-bridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "drmwatch.reader.selector" -}}
app.kubernetes.io/name: drmwatch-reader
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
