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
