{{- define "fnctl.name" -}}
{{- if contains "fnctl" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-fnctl" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "fnctl.selector" -}}
app.kubernetes.io/name: fnctl
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fnctl.labels" -}}
{{ include "fnctl.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
