package runtime

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/vectors"
)

// memStore is a Store that forgets everything when it goes.
type memStore struct {
	mu     sync.Mutex
	kv     map[string]memValue
	r2     map[string]memObject
	queues map[string][]QueueMessage

	vectors []vectors.Vector
}

type memValue struct {
	value    []byte
	metadata json.RawMessage
	expires  time.Time
}

type memObject struct {
	object R2Object
	body   []byte
}

func newMemStore() *memStore {
	return &memStore{kv: map[string]memValue{}, r2: map[string]memObject{}, queues: map[string][]QueueMessage{}}
}

func (m *memStore) KVGet(_ context.Context, namespace, key string) ([]byte, json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.kv[namespace+"/"+key]
	if !ok {
		return nil, nil, ErrNotFound
	}
	return v.value, v.metadata, nil
}

func (m *memStore) KVPut(_ context.Context, namespace, key string, value []byte, metadata json.RawMessage, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kv[namespace+"/"+key] = memValue{value, metadata, expires}
	return nil
}

func (m *memStore) KVDelete(_ context.Context, namespace, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kv, namespace+"/"+key)
	return nil
}

func (m *memStore) KVList(_ context.Context, namespace, prefix, cursor string, limit int) (KVPage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page KVPage
	var names []string
	for full := range m.kv {
		if name, ok := strings.CutPrefix(full, namespace+"/"); ok && strings.HasPrefix(name, prefix) && name > cursor {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		if i == limit {
			page.Cursor = names[i-1]
			break
		}
		v := m.kv[namespace+"/"+name]
		page.Keys = append(page.Keys, KVKey{Name: name, Expires: v.expires, Metadata: v.metadata})
	}
	return page, nil
}

func (m *memStore) R2Head(_ context.Context, bucket, key string) (R2Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.r2[bucket+"/"+key]
	if !ok {
		return R2Object{}, ErrNotFound
	}
	return o.object, nil
}

func (m *memStore) R2Get(_ context.Context, bucket, key string) (R2Object, io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.r2[bucket+"/"+key]
	if !ok {
		return R2Object{}, nil, ErrNotFound
	}
	return o.object, io.NopCloser(bytes.NewReader(o.body)), nil
}

func (m *memStore) R2Put(_ context.Context, bucket string, object R2Object, body io.Reader) (R2Object, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return R2Object{}, err
	}
	sum := md5.Sum(text)
	object.ETag, object.Version, object.Size, object.Uploaded = hex.EncodeToString(sum[:]), uuid.NewString(), int64(len(text)), time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.r2[bucket+"/"+object.Key] = memObject{object, text}
	return object, nil
}

func (m *memStore) R2Delete(_ context.Context, bucket string, keys ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.r2, bucket+"/"+k)
	}
	return nil
}

func (m *memStore) R2List(_ context.Context, bucket, prefix, _, _ string, _ int) (R2Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page R2Page
	for name, o := range m.r2 {
		if strings.HasPrefix(name, bucket+"/"+prefix) {
			page.Objects = append(page.Objects, o.object)
		}
	}
	slices.SortFunc(page.Objects, func(a, b R2Object) int { return strings.Compare(a.Key, b.Key) })
	return page, nil
}

func (m *memStore) QueueSend(_ context.Context, queue string, messages ...QueueMessage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[queue] = append(m.queues[queue], messages...)
	return nil
}

func (m *memStore) QueueReceive(_ context.Context, queue string, limit int, lease time.Duration) ([]QueueMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var got []QueueMessage
	now := time.Now()
	for i := range m.queues[queue] {
		if q := &m.queues[queue][i]; len(got) < limit && !q.VisibleAt.After(now) {
			q.VisibleAt = now.Add(lease)
			q.Attempts++
			got = append(got, *q)
		}
	}
	return got, nil
}

func (m *memStore) QueueAck(_ context.Context, queue string, ids ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[queue] = slices.DeleteFunc(m.queues[queue], func(q QueueMessage) bool { return slices.Contains(ids, q.ID) })
	return nil
}

func (m *memStore) QueueRetry(_ context.Context, queue string, after time.Duration, ids ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.queues[queue] {
		if q := &m.queues[queue][i]; slices.Contains(ids, q.ID) {
			q.VisibleAt = time.Now().Add(after)
		}
	}
	return nil
}

func (m *memStore) QueueBacklog(_ context.Context, queue string) (QueueBacklog, error) {
	var backlog QueueBacklog
	for _, q := range m.queued(queue) {
		backlog.Count++
		backlog.Bytes += int64(len(q.Body))
		if backlog.Oldest.IsZero() || q.Timestamp.Before(backlog.Oldest) {
			backlog.Oldest = q.Timestamp
		}
	}
	return backlog, nil
}

func (m *memStore) queued(queue string) []QueueMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.queues[queue])
}

// VectorCall has one index, called vectors, of two dimensions.
func (m *memStore) VectorCall(_ context.Context, index, operation string, body io.Reader) (any, error) {
	if index != "vectors" {
		return nil, ErrNotFound
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch operation {
	case "insert", "upsert":
		read, err := vectors.Read(body, 2)
		m.vectors = append(m.vectors, read...)
		return map[string]any{"mutationId": "m"}, err
	case "query":
		query := vectors.Query{}
		if err := json.NewDecoder(body).Decode(&query); err != nil {
			return nil, err
		}
		matches, err := vectors.Search(m.vectors, vectors.Cosine, 2, query)
		return map[string]any{"count": len(matches), "matches": matches}, err
	case "info":
		return map[string]any{"dimensions": 2, "vectorCount": len(m.vectors)}, nil
	}
	return m.vectors, nil
}
