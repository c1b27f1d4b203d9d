{{- define "fnctl.name" -}}
{{- if contains "fnctl" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-fnctl" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "fnctl.headless" -}}
{{ include "fnctl.name" . }}-headless
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

{{- define "fnctl.host" -}}
{{ include "fnctl.name" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "fnctl.hasTls" -}}
{{- if or .Values.tls.existingSecret .Values.tls.generate }}yes{{ end }}
{{- end }}

{{- define "fnctl.scheme" -}}
{{- if include "fnctl.hasTls" . }}https{{ else }}http{{ end }}
{{- end }}

{{- /* Whether the Kinesis API is reached from outside of the pod. */}}
{{- define "fnctl.hasKinesis" -}}
{{- if or .Values.insecure (and .Values.kinesis.existingSecret (include "fnctl.hasTls" .)) }}yes{{ end }}
{{- end }}

{{- define "fnctl.check" -}}
{{- if and .Values.tls.existingSecret .Values.tls.generate }}
{{- fail "tls.existingSecret and tls.generate: one certificate is shown; choose one of them" }}
{{- end }}
{{- if not .Values.insecure }}
{{- if not .Values.adminToken.existingSecret }}
{{- fail "a pod is reached over the network, and nobody asks who is there: set adminToken.existingSecret (values.yaml says how it is made); or insecure=true where a network policy lets in none but those who may do everything" }}
{{- end }}
{{- if not (include "fnctl.hasTls" .) }}
{{- fail "tokens would travel in the clear: set tls.existingSecret, or tls.generate=true; or insecure=true where nobody listens in" }}
{{- end }}
{{- end }}
{{- end }}
