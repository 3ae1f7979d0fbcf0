package analytics

import (
	"encoding/json"
	"sync"
	"time"
)

// Buffer gathers samples until they are taken, merged by second and dimensions. It is safe for concurrent use; the zero
// value is empty.
type Buffer struct {
	mutex   sync.Mutex
	samples map[string]*Sample
}

// Add counts samples.
func (b *Buffer) Add(samples ...Sample) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.samples == nil {
		b.samples = map[string]*Sample{}
	}
	for _, sample := range samples {
		sample.At = sample.At.Truncate(time.Second)
		dimensions, _ := json.Marshal(sample.Dimensions) // texts only
		key := sample.Dataset + "\x00" + sample.At.UTC().Format(time.RFC3339) + "\x00" + string(dimensions)
		if b.samples[key] == nil {
			b.samples[key] = &Sample{Dataset: sample.Dataset, At: sample.At, Dimensions: sample.Dimensions}
		}
		b.samples[key].Merge(sample)
	}
}

// Take empties it.
func (b *Buffer) Take() []Sample {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	out := make([]Sample, 0, len(b.samples))
	for _, sample := range b.samples {
		out = append(out, *sample)
	}
	b.samples = nil
	return out
}
