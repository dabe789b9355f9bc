{{- define "pfd.labels" -}}
app.kubernetes.io/name: pfd-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "pfd.selector" -}}
app.kubernetes.io/name: pfd-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "pfd.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- /* One of the images, by its name in values: dict "of" $ "image" "worker". */}}
{{- define "pfd.image" -}}
{{- $path := printf "images.%s" .image }}
{{- required (printf "%s is not set: name an image with its registry, e.g. --set %s=registry.example.org/pfd/%s:0.1.0 (make images REGISTRY=registry.example.org/pfd builds and pushes it)" $path $path .image) (get .of.Values.images .image) }}
{{- end }}
{{- define "pfd.pod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- /* Where a pod runs, of values that hold these. */}}
{{- define "pfd.scheduling" -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $ $field }}
{{ $field }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
{{- define "pfd.s3Selector" -}}
app.kubernetes.io/name: pfd-s3
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- /* The labels that the operator puts on every pod of a stage. */}}
{{- define "pfd.stagePods" -}}
matchExpressions:
- {key: pfd.dev/kind, operator: Exists}
- {key: pfd.dev/stage, operator: Exists}
{{- end }}
{{- define "pfd.dnsEgress" -}}
- ports:
  {{- range .Values.networkPolicies.dnsPorts }}
  - {port: {{ . }}, protocol: UDP}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
{{- end }}

{{- /* What every stage pod gets, as the operator reads it: what is empty is not given. */}}
{{- define "pfd.stages" -}}
{{- $given := dict }}
{{- range $name, $value := .Values.stages | default dict }}
{{- if $value }}{{ $_ := set $given $name $value }}{{ end }}
{{- end }}
{{- toJson $given }}
{{- end }}
{{- /* The annotation with an alert's runbook, of the address and the anchor. */}}
{{- define "pfd.runbook" -}}
{{- with index . 0 }}
runbook_url: {{ . }}#{{ index $ 1 }}
{{- end }}
{{- end }}
