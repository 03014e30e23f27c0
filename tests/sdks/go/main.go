// A session of Segment's own Go SDK: session URL WRITE_KEY ACCOUNT EVENTS. Prints what it could not send.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	analytics "gopkg.in/segmentio/analytics-go.v3"
)

// answered counts down, one for each call.
type answered struct{ open *sync.WaitGroup }

func (a answered) Success(analytics.Message) { a.open.Done() }
func (a answered) Failure(message analytics.Message, err error) {
	fmt.Println(err)
	a.open.Done()
}

type silent struct{}

func (silent) Logf(string, ...interface{})   {}
func (silent) Errorf(string, ...interface{}) {}

func main() {
	account := os.Args[3]
	events, _ := strconv.Atoi(os.Args[4])
	var open sync.WaitGroup
	open.Add(5 + events)
	client, err := analytics.NewWithConfig(os.Args[2], analytics.Config{
		Endpoint:  os.Args[1],
		BatchSize: 100,
		Interval:  time.Second,
		Callback:  answered{&open},
		Logger:    silent{},
	})
	if err != nil {
		panic(err)
	}
	context := &analytics.Context{Extra: map[string]interface{}{"groupId": account}}
	client.Enqueue(analytics.Identify{UserId: "ada", Traits: analytics.NewTraits().SetName("Ada"), Context: context})
	client.Enqueue(analytics.Group{
		UserId: "ada", GroupId: account, Traits: analytics.NewTraits().SetName("Acme").Set("plan", "Paying"),
	})
	client.Enqueue(analytics.Page{
		UserId: "ada", Name: "Index", Properties: analytics.NewProperties().SetCategory("Docs"), Context: context,
	})
	client.Enqueue(analytics.Track{
		UserId: "ada", Event: "Report exported", Properties: analytics.NewProperties().SetCategory("Reports"),
		Context: context,
	})
	for number := 0; number < events; number++ {
		client.Enqueue(analytics.Track{
			UserId: "ada", Event: fmt.Sprintf("e-%d", number),
			Properties: analytics.NewProperties().SetCategory("Load"), Context: context,
		})
	}
	client.Enqueue(analytics.Alias{PreviousId: "ada", UserId: "ada@example.com"})
	open.Wait() // Close gives up what is still to be tried again.
	client.Close()
}
