package localcloud

// Cloudflare's error codes, in one place. Marked (wrangler) where wrangler 4.86 branches on the number, (noted) where our
// research notes name it. The rest are as remembered, and were not checked against a real account: do not branch on them.
const (
	codeInternal            = 10013 // unknown error
	codeInformation         = 10000 // of a message that is no error
	codeAuthentication      = 10000 // (wrangler)
	codeInvalidToken        = 9109  // (wrangler) invalid access token
	codeTooManyRequests     = 971   // more than 1,200 requests in five minutes
	codeUnknownRoute        = 7003  // (noted) could not route to …
	codeBadQuery            = 7001  // bad query parameter
	codeBadJSON             = 10034 // body is not JSON
	codeScriptNotFound      = 10007 // (wrangler)
	codeServiceNotFound     = 10090 // (wrangler)
	codeBadUpload           = 10021 // (wrangler) metadata, modules or bindings are not valid, or the script does not start
	codeBadInherit          = 10057 // (noted) a binding to inherit does not exist
	codeClassNotConfigured  = 10061 // binding to a class that no migration made
	codeMigrationTag        = 10079 // migration tag precondition failed
	codeClassConflict       = 10074 // migration makes a class that is there already
	codeMigrationInVersion  = 10211 // (noted) migrations cannot go through a version upload
	codeSettingsNotDeployed = 10214 // (noted) bulk secret edit while the newest version is not deployed
	codeSecretNotDeployed   = 10215 // (wrangler) secret edit while the newest version is not deployed
	codeSecretsChanged      = 10220 // (wrangler) rollback across changed secrets
	codeSecretNotFound      = 10056 // binding not found
	codeBadDeployment       = 10217 // percentages, number of versions
	codeVersionNotFound     = 10218 // no such version
	codeDeploymentNotFound  = 10219 // no such deployment
	codeNoSubdomain         = 10063 // (wrangler)
	codeBadRoute            = 10022 // route pattern
	codeRouteTaken          = 10020 // route is taken by another worker
	codeBadSchedule         = 10100 // cron expression
	codeDatabaseNotFound    = 7404  // (wrangler)
	codeDatabaseExists      = 7502
	codeDatabaseSQL         = 7500  // the database refused the SQL
	codeDatabaseBusyOrBad   = 7400  // bad request to D1
	codeNamespaceNotFound   = 10013 // KV
	codeNamespaceExists     = 10014 // (wrangler)
	codeKeyNotFound         = 10009 // KV
	codeBadKeyValue         = 10011 // KV key, value or expiry
	codeBucketNotFound      = 10006 // (wrangler)
	codeBucketExists        = 10004
	codeBucketNotEmpty      = 10008
	codeBadBucketName       = 10005
	codeObjectNotFound      = 10007 // (wrangler) R2
	codeQueueNotFound       = 11000
	codeQueueExists         = 11009
	codeBadQueue            = 11003 // queue name or settings
	codeConsumerExists      = 11004
	codeConsumerNotFound    = 11005  // queue consumer
	codeVectorIndexNotFound = 3000   // (noted) index
	codeVectorIndexExists   = 3002   // (noted) index name is taken
	codeBadVector           = 40006  // vectors, query or index settings
	codeTailNotFound        = 10054  // tail session
	codeTooManyTails        = 10057  // more tails than a Worker can have
	codeZoneNotFound        = 1001   // invalid zone identifier
	codeZoneExists          = 1061   // (noted) zone is there already
	codeZoneSetting         = 1006   // no such zone setting
	codeZoneSettingValue    = 1007   // (noted) invalid value for a zone setting
	codeDomainNotFound      = 100114 // custom domain
	codeBadAssetRules       = 100324 // (seen in workers-sdk issue 15624) _redirects or _headers have a line that is no rule
	codeDomainTaken         = 100116 // hostname serves another worker already
	codeBadDomain           = 100112 // hostname is not of the zone
	codeCertificateNotFound = 1407   // certificate pack
	codeBadCertificate      = 1434   // order of a certificate pack
)
