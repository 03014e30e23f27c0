import com.segment.analytics.kotlin.core.Analytics;
import com.segment.analytics.kotlin.core.BaseEvent;
import com.segment.analytics.kotlin.core.Settings;
import com.segment.analytics.kotlin.core.TrackEvent;
import com.segment.analytics.kotlin.core.compat.ConfigurationBuilder;
import com.segment.analytics.kotlin.core.compat.JavaAnalytics;
import com.segment.analytics.kotlin.core.platform.Plugin;
import com.segment.analytics.kotlin.core.utilities.InMemoryStorageProvider;
import com.segment.analytics.kotlin.core.utilities.JsonUtils;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import kotlin.Unit;

/**
 * A session of Segment's own Kotlin SDK: Session HOST WRITE_KEY ACCOUNT EVENTS. It flushes once a second, as it does
 * by itself on a phone every 30, until its standard input ends.
 *
 * On a busy machine the SDK may lose calls while it starts, and may even never start: news of its own state overtake
 * one another, and the last one says that its settings are still to come (StartupQueue of its core). So it is sounded
 * first, by calls that go nowhere, and started anew if it is deaf.
 */
public class Session {
  private static final String SOUNDING = "is anybody there?";

  public static void main(String[] words) throws IOException, InterruptedException {
    var analytics = started(words);
    analytics.identify("ada", Map.of("name", "Ada"));
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

  static JavaAnalytics started(String[] words) throws InterruptedException {
    var host = words[0] + "/v1";
    while (true) {
      var configuration = new ConfigurationBuilder(words[1]).setApiHost(host).setCdnHost(host).setFlushAt(100)
          .setFlushInterval(1)
          .setApplication("Milonga tests").build();
      configuration.setStorageProvider(new InMemoryStorageProvider());
      var analytics = new JavaAnalytics(configuration);
      var account = new Account(words[2]);
      analytics.add(account);
      if (account.hears(analytics)) {
        return analytics;
      }
    }
  }

  /** Puts the account into the context of every event, as docs/compatibility.md advises. */
  static class Account implements Plugin {
    private final CountDownLatch told = new CountDownLatch(1);
    private final Semaphore heard = new Semaphore(0);
    private final String account;
    private Analytics analytics;

    Account(String account) {
      this.account = account;
    }

    /** Whether several calls in a row come through. The first may have to wait for the settings. */
    boolean hears(JavaAnalytics sounded) throws InterruptedException {
      told.await();
      for (int seconds : new int[] {10, 2, 2, 2, 2}) {
        sounded.track(SOUNDING);
        if (!heard.tryAcquire(seconds, TimeUnit.SECONDS)) {
          return false;
        }
        Thread.sleep(50);
      }
      return true;
    }

    @Override
    public BaseEvent execute(BaseEvent event) {
      if (event instanceof TrackEvent track && track.getEvent().equals(SOUNDING)) {
        heard.release();
        return null;
      }
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
    public void update(Settings settings, UpdateType type) {
      told.countDown();
    }

    @Override
    public void shutdown() {}
  }
}
