package wrangler

// keyRule says how wrangler 4.86.0 treats one key of its configuration.
type keyRule struct {
	scope  scope
	effect effect
}

// scope is how a key of the top level concerns the environments.
type scope int

const (
	inherited    scope = iota // an environment that does not set it has the top level's
	notInherited              // an environment that does not set it has none
	topOnly                   // cannot be set in an environment, and holds for all
)

// effect is who has to honour a key.
type effect int

const (
	deployed effect = iota // the deployed Worker depends on it
	bundling               // wrangler itself has honoured it when it made the bundle, or it only matters to development
	typed                  // deployed, and a field of Worker
)

// keyRules holds every key of wrangler's config-schema.json.
var keyRules = map[string]keyRule{
	"name":                {inherited, typed},
	"main":                {inherited, typed},
	"account_id":          {inherited, typed},
	"compatibility_date":  {inherited, typed},
	"compatibility_flags": {inherited, typed},
	"workers_dev":         {inherited, typed},
	"preview_urls":        {inherited, typed},
	"route":               {inherited, typed},
	"routes":              {inherited, typed},
	"triggers":            {inherited, typed},
	"limits":              {inherited, typed},
	"placement":           {inherited, typed},
	"observability":       {inherited, typed},
	"logpush":             {inherited, typed},
	"assets":              {inherited, typed},
	"migrations":          {inherited, typed},
	"build":               {inherited, typed},

	"find_additional_modules": {inherited, bundling},
	"preserve_file_names":     {inherited, bundling},
	"base_dir":                {inherited, bundling},
	"tsconfig":                {inherited, bundling},
	"jsx_factory":             {inherited, bundling},
	"jsx_fragment":            {inherited, bundling},
	"rules":                   {inherited, bundling},
	"no_bundle":               {inherited, bundling},
	"minify":                  {inherited, bundling},
	"keep_names":              {inherited, bundling},
	"upload_source_maps":      {inherited, bundling},
	"python_modules":          {inherited, bundling},
	"previews":                {inherited, bundling},
	"first_party_worker":      {inherited, deployed},
	"logfwdr":                 {inherited, deployed},
	"cache":                   {inherited, deployed},
	"compliance_region":       {inherited, deployed},

	"define":                    {notInherited, bundling},
	"vars":                      {notInherited, typed},
	"secrets":                   {notInherited, typed},
	"durable_objects":           {notInherited, typed},
	"kv_namespaces":             {notInherited, typed},
	"r2_buckets":                {notInherited, typed},
	"d1_databases":              {notInherited, typed},
	"queues":                    {notInherited, typed},
	"vectorize":                 {notInherited, typed},
	"services":                  {notInherited, typed},
	"analytics_engine_datasets": {notInherited, typed},
	"ai":                        {notInherited, typed},
	"version_metadata":          {notInherited, typed},
	"ratelimits":                {notInherited, typed},
	"tail_consumers":            {notInherited, typed},
	"workflows":                 {notInherited, deployed},
	"cloudchamber":              {notInherited, deployed},
	"containers":                {notInherited, deployed},
	"send_email":                {notInherited, deployed},
	"ai_search_namespaces":      {notInherited, deployed},
	"ai_search":                 {notInherited, deployed},
	"hyperdrive":                {notInherited, deployed},
	"dispatch_namespaces":       {notInherited, deployed},
	"mtls_certificates":         {notInherited, deployed},
	"streaming_tail_consumers":  {notInherited, deployed},
	"unsafe":                    {notInherited, deployed},
	"browser":                   {notInherited, deployed},
	"images":                    {notInherited, deployed},
	"media":                     {notInherited, deployed},
	"stream":                    {notInherited, deployed},
	"pipelines":                 {notInherited, deployed},
	"secrets_store_secrets":     {notInherited, deployed},
	"artifacts":                 {notInherited, deployed},
	"unsafe_hello_world":        {notInherited, deployed},
	"flagship":                  {notInherited, deployed},
	"worker_loaders":            {notInherited, deployed},
	"vpc_services":              {notInherited, deployed},
	"vpc_networks":              {notInherited, deployed},

	"$schema":                {topOnly, bundling},
	"env":                    {topOnly, bundling},
	"dev":                    {topOnly, bundling},
	"send_metrics":           {topOnly, bundling},
	"alias":                  {topOnly, bundling},
	"keep_vars":              {topOnly, deployed},
	"legacy_env":             {topOnly, deployed},
	"pages_build_output_dir": {topOnly, deployed},
	"site":                   {topOnly, deployed},
	"wasm_modules":           {topOnly, deployed},
	"text_blobs":             {topOnly, deployed},
	"data_blobs":             {topOnly, deployed},
}
