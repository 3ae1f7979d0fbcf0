set -e
mkdir -p .penstock-bundle
b=----penstock
{
printf -- '--%s\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n' $b
printf '{"main_module":"worker.js","bindings":[{"name":"VERSION","type":"version_metadata"}],"compatibility_date":"2026-01-01","compatibility_flags":[]}\r\n'
printf -- '--%s\r\nContent-Disposition: form-data; name="worker.js"; filename="worker.js"\r\nContent-Type: application/javascript+module\r\n\r\n' $b
cat ../../packages/greet/worker.js
printf '\r\n--%s--\r\n' $b
} > .penstock-bundle/worker.form
