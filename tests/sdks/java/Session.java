import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.AliasMessage;
import com.segment.analytics.messages.GroupMessage;
import com.segment.analytics.messages.IdentifyMessage;
import com.segment.analytics.messages.Message;
import com.segment.analytics.messages.PageMessage;
import com.segment.analytics.messages.TrackMessage;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A session of Segment's own Java SDK: Session URL WRITE_KEY ACCOUNT EVENTS. Prints what it could not send. */
public class Session {
  public static void main(String[] words) throws InterruptedException {
    var account = words[2];
    var events = Integer.parseInt(words[3]);
    var open = new CountDownLatch(5 + events);
    var callback = new Callback() {
      @Override
      public void success(Message message) {
        open.countDown();
      }

      @Override
      public void failure(Message message, Throwable error) {
        System.out.println(error);
        open.countDown();
      }
    };
    var analytics = Analytics.builder(words[1]).endpoint(words[0]).callback(callback).build();
    var context = Map.of("groupId", account);
    analytics.enqueue(IdentifyMessage.builder().userId("ada").traits(Map.of("name", "Ada")).context(context));
    analytics.enqueue(
        GroupMessage.builder(account).userId("ada").traits(Map.of("name", "Acme", "plan", "Paying")));
    analytics.enqueue(
        PageMessage.builder("Index").userId("ada").properties(Map.of("category", "Docs")).context(context));
    track(analytics, "Report exported", "Reports", context);
    for (int number = 0; number < events; number++) {
      track(analytics, "e-" + number, "Load", context);
    }
    analytics.enqueue(AliasMessage.builder("ada").userId("ada@example.com"));
    analytics.flush();
    if (!open.await(60, TimeUnit.SECONDS)) {
      System.out.println("never answered: " + open.getCount());
    }
    analytics.shutdown();
  }

  private static void track(Analytics analytics, String event, String category, Map<String, ?> context) {
    analytics.enqueue(
        TrackMessage.builder(event).userId("ada").properties(Map.of("category", category)).context(context));
  }
}
