import com.segment.analytics.kotlin.core.Analytics;
import com.segment.analytics.kotlin.core.BaseEvent;
import com.segment.analytics.kotlin.core.Settings;
import com.segment.analytics.kotlin.core.compat.ConfigurationBuilder;
import com.segment.analytics.kotlin.core.compat.JavaAnalytics;
import com.segment.analytics.kotlin.core.platform.Plugin;
import com.segment.analytics.kotlin.core.platform.plugins.StartupQueue;
import com.segment.analytics.kotlin.core.utilities.InMemoryStorageProvider;
import com.segment.analytics.kotlin.core.utilities.JsonUtils;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import kotlin.Unit;

/**
 * A session of Segment's own Kotlin SDK: Session HOST WRITE_KEY ACCOUNT EVENTS. It flushes once a second, as it does
 * by itself on a phone every 30, until its standard input ends.
 *
 * On a busy machine the SDK loses calls while it starts, and may even never start: its StartupQueue holds calls back
 * until there are settings, but news of that overtake one another, and what comes while the queue is emptied is lost. So
 * here the settings are waited for, and nothing is held back.
 *
 * What is called right after identify may overtake it, and then goes without a user id: so that is waited for, too.
 */
public class Session {
  public static void main(String[] words) throws IOException, InterruptedException {
    var host = words[0] + "/v1";
    var configuration = new ConfigurationBuilder(words[1]).setApiHost(host).setCdnHost(host).setFlushAt(100)
        .setFlushInterval(1)
        .setApplication("Milonga tests").build();
    configuration.setStorageProvider(new InMemoryStorageProvider());
    var analytics = new JavaAnalytics(configuration);
    var settled = new Settled();
    analytics.add(new Account(words[2]));
    analytics.add(settled);
    settled.await();
    analytics.remove(analytics.find(StartupQueue.class));
    analytics.identify("ada", Map.of("name", "Ada"));
    while (!"ada".equals(analytics.userId())) {
      Thread.sleep(1);
    }
    analytics.group(words[2], Map.of("name", "Acme", "plan", "Paying"));
    analytics.screen("Index", Map.of(), "Docs");
    analytics.track("Report exported", Map.of("category", "Reports"));
    for (int number = 0; number < Integer.parseInt(words[3]); number++) {
      analytics.track("e-" + number, Map.of("category", "Load"));
    }
    analytics.alias("ada@example.com");
    while (System.in.read() >= 0) {}
    System.exit(0);
  }

  /** Told of the settings behind everything else that wants them. */
  static class Settled extends Quiet {
    private final CountDownLatch there = new CountDownLatch(1);

    void await() throws InterruptedException {
      there.await();
    }

    @Override
    public Type getType() {
      return Type.After;
    }

    @Override
    public void update(Settings settings, UpdateType type) {
      if (settings.getIntegrations().containsKey("Segment.io")) {
        there.countDown();
      }
    }
  }

  /** Puts the account into the context of every event, as docs/compatibility.md advises. */
  static class Account extends Quiet {
    private final String account;

    Account(String account) {
      this.account = account;
    }

    @Override
    public BaseEvent execute(BaseEvent event) {
      event.setContext(JsonUtils.updateJsonObject(event.getContext(), context -> {
        JsonUtils.set(context, "groupId", account);
        return Unit.INSTANCE;
      }));
      return event;
    }

    @Override
    public Type getType() {
      return Type.Enrichment;
    }
  }

  /** What a plugin must have in Java, where the SDK's own answers in Kotlin are not seen. */
  abstract static class Quiet implements Plugin {
    private Analytics analytics;

    @Override
    public BaseEvent execute(BaseEvent event) {
      return event;
    }

    @Override
    public Analytics getAnalytics() {
      return analytics;
    }

    @Override
    public void setAnalytics(Analytics analytics) {
      this.analytics = analytics;
    }

    @Override
    public void setup(Analytics analytics) {
      this.analytics = analytics;
    }

    @Override
    public void update(Settings settings, UpdateType type) {}

    @Override
    public void shutdown() {}
  }
}
