package api

import (
	"context"
	"errors"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/durable_objects"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/queues"
	"github.com/cloudflare/cloudflare-go/v7/r2"
	"github.com/cloudflare/cloudflare-go/v7/ssl"
	"github.com/cloudflare/cloudflare-go/v7/vectorize"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// Class is a Durable Object class that the account has a namespace for.
type Class struct {
	ID     string `json:"id"`
	Class  string `json:"class"`
	Script string `json:"script"` // the Worker that has it
	SQLite bool   `json:"use_sqlite"`
}

// Classes lists the account's Durable Object classes.
func (c *Client) Classes(ctx context.Context) ([]Class, error) {
	return everyPage(perPage, func(page []option.RequestOption, into *answer[[]Class]) error {
		params := durable_objects.NamespaceListParams{}
		params.AccountID.Value = c.account
		_, err := durable_objects.NewNamespaceService(c.base...).List(ctx, params, c.reading(into, page...)...)
		return err
	})
}

// Index is a vector index.
type Index struct {
	Name   string `json:"name"`
	Config struct {
		Dimensions int    `json:"dimensions"`
		Metric     string `json:"metric"`
	} `json:"config"`
}

// Index reads a vector index; [ErrNotFound] when there is none of that name.
func (c *Client) Index(ctx context.Context, name string) (Index, error) {
	var got answer[Index]
	params := vectorize.IndexGetParams{}
	params.AccountID.Value = c.account
	_, err := vectorize.NewIndexService(c.base...).Get(ctx, name, params, c.reading(&got)...)
	return got.Result, err
}

// CreateIndex makes an empty vector index.
func (c *Client) CreateIndex(ctx context.Context, name string, dimensions int, metric string) error {
	var got answer[Index]
	params := vectorize.IndexNewParams{}
	params.AccountID.Value = c.account
	body := Index{Name: name}
	body.Config.Dimensions, body.Config.Metric = dimensions, metric
	_, err := vectorize.NewIndexService(c.base...).New(ctx, params, c.changing(&got, jsonBody(body))...)
	return err
}

// VectorCount is how many vectors an index has.
func (c *Client) VectorCount(ctx context.Context, name string) (int64, error) {
	var got answer[struct {
		Count int64 `json:"vectorCount"`
	}]
	params := vectorize.IndexInfoParams{}
	params.AccountID.Value = c.account
	_, err := vectorize.NewIndexService(c.base...).Info(ctx, name, params, c.reading(&got)...)
	return got.Result.Count, err
}

// PublicDomains lists the names by which everybody may read a bucket: its r2.dev address and its own domains, where they are
// enabled.
func (c *Client) PublicDomains(ctx context.Context, bucket, jurisdiction string) ([]string, error) {
	type domain struct {
		Domain  string `json:"domain"`
		Enabled bool   `json:"enabled"`
	}
	var managed answer[domain]
	managedParams := r2.BucketDomainManagedListParams{}
	managedParams.AccountID.Value = c.account
	_, err := r2.NewBucketDomainManagedService(c.base...).List(ctx, bucket, managedParams, c.reading(&managed, inJurisdiction(jurisdiction)...)...)
	if err != nil {
		return nil, err
	}
	var custom answer[struct {
		Domains []domain `json:"domains"`
	}]
	customParams := r2.BucketDomainCustomListParams{}
	customParams.AccountID.Value = c.account
	_, err = r2.NewBucketDomainCustomService(c.base...).List(ctx, bucket, customParams, c.reading(&custom, inJurisdiction(jurisdiction)...)...)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, found := range append(custom.Result.Domains, managed.Result) {
		if found.Enabled {
			names = append(names, found.Domain)
		}
	}
	return names, nil
}

// DeliveryPaused says whether a queue keeps its messages to itself.
func (c *Client) DeliveryPaused(ctx context.Context, queue string) (bool, error) {
	var got answer[struct {
		Settings struct {
			Paused bool `json:"delivery_paused"`
		} `json:"settings"`
	}]
	params := queues.QueueGetParams{}
	params.AccountID.Value = c.account
	_, err := queues.NewQueueService(c.base...).Get(ctx, queue, params, c.reading(&got)...)
	return got.Result.Settings.Paused, err
}

// Backlog is what waits in a queue now.
type Backlog struct {
	Messages float64 `json:"backlog_count"`
	Bytes    float64 `json:"backlog_bytes"`
}

// Backlog asks a queue how much waits in it.
func (c *Client) Backlog(ctx context.Context, queue string) (Backlog, error) {
	var got answer[Backlog]
	params := queues.QueueGetMetricsParams{}
	params.AccountID.Value = c.account
	_, err := queues.NewQueueService(c.base...).GetMetrics(ctx, queue, params, c.reading(&got)...)
	return got.Result, err
}

// CustomDomain leads a host to a Worker, with a DNS record and a certificate that Cloudflare keeps.
type CustomDomain struct {
	ID            string `json:"id"`
	Hostname      string `json:"hostname"`
	Service       string `json:"service"`
	ZoneID        string `json:"zone_id"`
	ZoneName      string `json:"zone_name"`
	CertificateID string `json:"cert_id"`
}

// CustomDomain finds the account's custom domain of that host; [ErrNotFound] when there is none.
func (c *Client) CustomDomain(ctx context.Context, host string) (CustomDomain, error) {
	var got answer[[]CustomDomain]
	params := workers.DomainListParams{}
	params.AccountID.Value = c.account
	if _, err := workers.NewDomainService(c.base...).List(ctx, params, c.reading(&got, option.WithQuery("hostname", host))...); err != nil {
		return CustomDomain{}, err
	}
	for _, domain := range got.Result {
		if domain.Hostname == host {
			return domain, nil
		}
	}
	return CustomDomain{}, ErrNotFound
}

// CertificatePack is a certificate for some hosts of a zone, in one or more kinds of key.
type CertificatePack struct {
	ID               string        `json:"id"`
	Type             string        `json:"type"` // universal, advanced, …
	Hosts            []string      `json:"hosts"`
	Status           string        `json:"status"` // active, pending_validation, …
	Authority        string        `json:"certificate_authority"`
	Certificates     []Certificate `json:"certificates"`
	ValidationErrors []struct {
		Message string `json:"message"`
	} `json:"validation_errors"`
}

// Certificate is one certificate of a pack.
type Certificate struct {
	Status    string    `json:"status"`
	Issuer    string    `json:"issuer"`
	ExpiresOn time.Time `json:"expires_on"`
}

// CertificatePacks lists a zone's certificates, also those that are not active.
func (c *Client) CertificatePacks(ctx context.Context, zone string) ([]CertificatePack, error) {
	return everyPage(perPageOfZone, func(page []option.RequestOption, into *answer[[]CertificatePack]) error {
		params := ssl.CertificatePackListParams{}
		params.ZoneID.Value = zone
		_, err := ssl.NewCertificatePackService(c.base...).List(ctx, params, c.reading(into, append(page, option.WithQuery("status", "all"))...)...)
		return err
	})
}

// NoSuchCall reports whether an answer says that the API has no such call, rather than that the thing does not exist.
func NoSuchCall(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && (answer.Has(7000) || answer.Has(7003))
}
