//! Japanese. What the names of products, labels, fields and settings are in English, they are here.

use super::Spoken;
use crate::{
    audit::chain::Break,
    ports::{CallError, CallErrorKind, Denial, Obstacle, Refusal, Silence},
    rollback::{self, RepairError},
    rotation::{self, RotationError, facts::RoleProblem},
    secret::{HostProblem, Problem},
    telemetry::chain,
};

impl Spoken for Break {
    fn japanese(&self) -> String {
        match self {
            Self::Missing { sequence } => format!("記録{sequence}がありません"),
            Self::Surplus { sequence, after } => format!("記録{sequence}が記録{after}の後に重複しています"),
            Self::Altered { sequence } => format!("記録{sequence}が書き込まれた内容と異なります"),
            Self::Unlinked { sequence } => {
                format!("記録{sequence}が直前の記録につながりません。どちらかが置き換えられています")
            }
            Self::Rewritten { sequence, at } => {
                format!("記録{sequence}は{at}にアンカーされたものではありません。そこに至る記録が書き直されています")
            }
        }
    }
}

impl Spoken for rollback::Reason {
    fn japanese(&self) -> String {
        match self {
            Self::Sound => "AWSCURRENTでデータベースに接続でき、異常はありません".to_owned(),
            Self::Recovered => "再びAWSCURRENTでデータベースに接続できるようになりました".to_owned(),
            Self::WentForward => "データベースに接続できるバージョンがAWSCURRENTになりました".to_owned(),
            Self::WentBack => {
                "AWSPREVIOUSだったバージョンが再びAWSCURRENTになり、データベースに接続できます".to_owned()
            }
            Self::DatabaseSilent(silence) => {
                format!("パスワードの正否を確認できず、何も変更していません（{}）", silence.japanese())
            }
            Self::ServerNotAvailable => {
                "RDSによると、データベースはフェイルオーバー中、起動中、またはその他の理由で利用できません".to_owned()
            }
            Self::ServerStopped => "RDSによると、データベースは停止しています".to_owned(),
            Self::LockBusy => "このシークレットに対する別のローテーションまたは復旧が進行中です".to_owned(),
            Self::LabelsMoved => {
                "処理中にラベルが移動しました。別の処理が引き継いだとみなし、以後は何も変更していません".to_owned()
            }
            Self::RotationInFlight => {
                "ローテーションが進行中です。新しいパスワードは設定済みで、最後のステップでAWSCURRENTになります".to_owned()
            }
            Self::Paused => "一時停止中です（`relatch resume` で解除できます）".to_owned(),
            Self::TooLittleTime => "パスワードの設定と検証に必要な時間が残っていません".to_owned(),
            Self::Unproved(silence) => {
                format!("AWSCURRENTのパスワードを設定しましたが、検証できませんでした（{}）", silence.japanese())
            }
            Self::ResetUnderWay => {
                "RDSがマスターユーザーのパスワードの変更を受け付けましたが、まだ反映されていません".to_owned()
            }
            Self::SessionLost => "何も変更しないうちにセッションが切断されました".to_owned(),
            Self::ScheduledForDeletion => {
                "シークレットは削除予定のため値を読み取れません。使用中であれば復元してください".to_owned()
            }
            Self::ManagedByService => "このシークレットは別のサービスが管理しており、復旧もそのサービスが行います".to_owned(),
            Self::OtherKind => "タグ `relatch:kind` の種類は、ここでの復旧の対象外です".to_owned(),
            Self::OtherServer => {
                "タグ `relatch:resource-id` のリソースIDをRDSで確認できません。クローンや復元されたスナップショットであるか、RDSに問い合わせできませんでした".to_owned()
            }
            Self::NoCurrent => "AWSCURRENTの付いたバージョンがありません".to_owned(),
            Self::CurrentUnusable(problem) => format!("AWSCURRENTを使用できません（{}）", problem.japanese()),
            Self::LoginRefused(refusal) => {
                format!("パスワードは正しいものの、セッションが拒否されました（{}）", refusal.japanese())
            }
            Self::ServerUnfit(silence) => silence.japanese(),
            Self::ReaderEndpoint => {
                "シークレットのホストはリーダーエンドポイントまたはレプリカです。ライターを指定してください".to_owned()
            }
            Self::ServerMissing => {
                "シークレットの識別子に該当するデータベースが、このアカウントとリージョンのRDSにありません".to_owned()
            }
            Self::ProxyEndpoint => {
                "シークレットのホストはRDS Proxyの追加エンドポイントで、背後のライターを特定できません".to_owned()
            }
            Self::Role(problem) => problem.japanese(),
            Self::Exhausted => {
                "AWSCURRENTでデータベースに接続できるようにする方法が残っていません。状態は悪化しておらず、AWSPENDINGは残してあります".to_owned()
            }
            Self::NoPrevious => "AWSPREVIOUSの付いたバージョンがなく、戻す先がありません".to_owned(),
            Self::PreviousUnusable(problem) => format!("AWSPREVIOUSを使用できません（{}）", problem.japanese()),
            Self::PreviousElsewhere(field) => {
                format!("AWSPREVIOUSとAWSCURRENTの `{field}` が一致しないため、接続していません")
            }
            Self::PendingInTheWay => {
                "AWSPENDINGが別のバージョンにあり、ローテーションが終わっていません。`relatch recover` で終わらせることができます".to_owned()
            }
            Self::NothingToGoBackThrough => {
                "データベースはAWSPREVIOUSを拒否し、AWSCURRENTでも管理者シークレットでもそのパスワードを再設定できません".to_owned()
            }
        }
    }
}

impl Spoken for rotation::Reason {
    fn japanese(&self) -> String {
        match self {
            Self::Staged => "新しい値をAWSPENDINGに保存しました".to_owned(),
            Self::AlreadyStaged => "値は以前の試行でAWSPENDINGに保存済みです".to_owned(),
            Self::Set => "データベースに新しいパスワードを設定し、ログインで検証しました".to_owned(),
            Self::AlreadySet => "新しいパスワードは以前の試行で設定済みで、ログインで検証しました".to_owned(),
            Self::Proved => "新しいパスワードでデータベースに接続できます".to_owned(),
            Self::Promoted => "新しいバージョンがAWSCURRENTになりました".to_owned(),
            Self::AlreadyCurrent => "バージョンはすでにAWSCURRENTで、残りの作業はありません".to_owned(),
            Self::LabelsUnsettled => "Secrets Managerのラベルがまだ整合していません。まもなく整合します".to_owned(),
            Self::NotStaged => "AWSPENDINGにまだ値がありません。先にcreateSecretが必要です".to_owned(),
            Self::DatabaseSilent(silence) => format!("パスワードの正否を確認できません（{}）", silence.japanese()),
            Self::SessionLost => "何も変更しないうちにセッションが切断されました".to_owned(),
            Self::LockBusy => "このシークレットに対する別のローテーションまたは復旧が進行中です".to_owned(),
            Self::Overtaken => {
                "別のローテーションまたは復旧が先にロックを取得し、新しいパスワードではデータベースに接続できなくなりました。AWSCURRENTは移動していません。次の試行でパスワードを再設定します".to_owned()
            }
            Self::TooLittleTime => {
                "変更、検証、ロールバックに必要な時間が残っていません。関数のタイムアウトを延ばしてください".to_owned()
            }
            Self::ServerNotAvailable => {
                "RDSによると、データベースはフェイルオーバー中、起動中、またはその他の理由で利用できません".to_owned()
            }
            Self::ServerStopped => "RDSによると、データベースは停止しています".to_owned(),
            Self::ChangeUnsure => {
                "変更に対する応答が失われました。AWSPENDINGを残し、次の試行で結果を確認します".to_owned()
            }
            Self::RollbackUnfinished => {
                "変更を検証できず、以前のパスワードに戻せたことも検証できませんでした。AWSPENDINGを残し、次の試行がそこから続けます".to_owned()
            }
            Self::PromotionUnsure => "昇格に対する応答が失われました。次の試行で結果を確認します".to_owned(),
            Self::Paused => "一時停止中です（`relatch resume` で解除できます）".to_owned(),
            Self::Stopped => {
                "ロールバックが続いたか、データベースが変更を拒否したため、ローテーションを停止しています。`relatch resume` で再開できます".to_owned()
            }
            Self::Superseded => {
                "AWSPENDINGが別のバージョンにあります。新しいローテーションまたは担当者が引き継いでいます".to_owned()
            }
            Self::RotationOff => "このシークレットのローテーションは無効です".to_owned(),
            Self::ManagedByService => {
                "このシークレットは別のサービスが管理しており、ローテーションもそのサービスが行います".to_owned()
            }
            Self::ScheduledForDeletion => "シークレットは削除予定です".to_owned(),
            Self::OtherKind => "タグ `relatch:kind` の種類は、この関数のローテーションの対象外です".to_owned(),
            Self::OtherServer => rollback::Reason::OtherServer.japanese(),
            Self::NoCurrent => "AWSCURRENTの付いたバージョンがなく、ローテーションの元がありません".to_owned(),
            Self::CurrentUnusable(problem) => format!("AWSCURRENTを使用できません（{}）", problem.japanese()),
            Self::PendingUnusable(problem) => format!("AWSPENDINGを使用できません（{}）", problem.japanese()),
            Self::AdminUnusable(problem) => {
                format!("管理者シークレット（`masterarn`）を使用できません（{}）", problem.japanese())
            }
            Self::AdminMissing => "管理者シークレット（`masterarn`）にAWSCURRENTがありません".to_owned(),
            Self::Mismatch(field) => {
                format!("AWSPENDINGとAWSCURRENTの `{field}` が一致しないため、接続していません")
            }
            Self::AdminMismatch(field) => {
                format!("管理者シークレットとAWSCURRENTの `{field}` が一致しないため、接続していません")
            }
            Self::NoAdminSecret => {
                "ユーザーの交互利用には管理者シークレットが必要です。`masterarn` に指定してください".to_owned()
            }
            Self::AdminNotAllowed => {
                "`masterarn` の管理者シークレットはデプロイ設定で許可されていないため、読み取っていません。許可する場合は、`masterarn` のARNを `AdminSecretArn`（テンプレートを使わない場合はRELATCH_ADMIN_SECRETS）に指定してください"
                    .to_owned()
            }
            Self::NoNameLeft => {
                "ユーザー名が `_clone` だけのため、交互に使うもう一方の名前が作れません。別の名前にするか、単一ユーザーでローテーションしてください（RELATCH_STRATEGY）"
                    .to_owned()
            }
            Self::AlternateTooLong => {
                "交互利用する相手のユーザー名が、PostgreSQLの名前の上限である63バイトを超えます".to_owned()
            }
            Self::ReaderEndpoint => rollback::Reason::ReaderEndpoint.japanese(),
            Self::ServerMissing => rollback::Reason::ServerMissing.japanese(),
            Self::Role(problem) => problem.japanese(),
            Self::LoginRefused(refusal) => {
                format!("パスワードは正しいものの、セッションが拒否されました（{}）", refusal.japanese())
            }
            Self::ServerUnfit(silence) => silence.japanese(),
            Self::ProxyEndpoint => {
                "シークレットのホストはRDS Proxyの追加エンドポイントで、背後のライターを特定できません。プロキシ自体またはデータベースのエンドポイントを指定してください".to_owned()
            }
            Self::CurrentRejected => {
                "データベースがAWSCURRENTを拒否しました。管理者ユーザーは、AWSCURRENTの確認なしに交互利用する相手のユーザーを作成・変更しません".to_owned()
            }
            Self::AdminRejected => "データベースが管理者シークレットのパスワードを拒否しました".to_owned(),
            Self::PendingRejected => {
                "データベースがAWSPENDINGを拒否しました。AWSCURRENTでは引き続き接続できます".to_owned()
            }
            Self::NoVersionOpens => {
                "データベースはAWSCURRENT、AWSPENDING、AWSPREVIOUSのすべてを拒否しました。いずれもパスワードが誤っているか、VALID UNTILの期限切れか、ロールが存在しません。何も変更していません".to_owned()
            }
            Self::TestQueryFailed(state) => {
                format!("新しいパスワードでログインできましたが、テストクエリ（RELATCH_TEST_QUERY）がSQLSTATE {state}で失敗しました")
            }
            Self::ChangeRefused(state) => format!("データベースがパスワードの変更をSQLSTATE {state}で拒否しました"),
            Self::RolledBack => {
                "新しいパスワードを検証できなかったため以前のパスワードに戻し、ログインで検証しました".to_owned()
            }
            Self::AlternateUnproved => {
                "交互利用する相手のユーザーの新しいパスワードを検証できませんでした。別のユーザーであるAWSCURRENTには影響ありません".to_owned()
            }
        }
    }
}

impl Spoken for RotationError {
    fn english(&self) -> String {
        chain(self)
    }

    fn japanese(&self) -> String {
        match self {
            Self::NotYet(reason) => format!("完了待ち: {}", reason.japanese()),
            Self::Refused(reason) => format!("中止: {}", reason.japanese()),
            Self::Interrupted(call) => format!("呼び出しが失敗して中断しました: {}", call.japanese()),
            Self::OutOfTime => "実行時間を使い切りました。次の試行は、その時点の状態から続けます".to_owned(),
            Self::Fault(what) => format!("Relatchの不具合です。報告をお願いします: {what}"),
        }
    }
}

impl Spoken for RepairError {
    fn english(&self) -> String {
        chain(self)
    }

    fn japanese(&self) -> String {
        match self {
            Self::Interrupted(call) => format!("呼び出しが失敗して中断しました: {}", call.japanese()),
            Self::OutOfTime => "時間を使い切りました。次の復旧は、その時点の状態から続けます".to_owned(),
            Self::Fault(what) => format!("Relatchの不具合です。報告をお願いします: {what}"),
        }
    }
}

impl Spoken for CallError {
    /// What AWS itself said stays in its words.
    fn japanese(&self) -> String {
        format!("{}: {}: {}", self.operation, self.kind.japanese(), self.message)
    }
}

impl Spoken for CallErrorKind {
    fn japanese(&self) -> String {
        match self {
            Self::Denied => "権限がありません",
            Self::NotFound => "見つかりません",
            Self::Throttled => "スロットリングされました",
            Self::NoAnswer => "有効な応答がありません",
            Self::Refused => "拒否されました",
        }
        .to_owned()
    }
}

impl Spoken for Refusal {
    fn japanese(&self) -> String {
        match self {
            Self::NoLogin => "ロールのログインが許可されていません（NOLOGIN）",
            Self::ConnectionLimit => "ロールの接続数が上限に達しています",
            Self::DatabaseLimit => "データベースの接続数が上限に達しています",
            Self::DatabaseClosed => {
                "データベースが接続を受け付けていません（ALLOW_CONNECTIONS falseか、中断されたDROPで無効になっています）"
            }
            Self::NoDatabase => "データベースが存在しません",
            Self::NoConnect => "ロールにデータベースへの接続が許可されていません",
        }
        .to_owned()
    }
}

impl Spoken for Silence {
    fn japanese(&self) -> String {
        match self {
            Self::TimedOut => "データベースが時間内に応答しません",
            Self::Unreachable => "データベースに到達できません",
            Self::Busy => "データベースは存在しますが、接続を受け付けていません",
            Self::NotLetIn => "サーバーがこのホストまたは認証方式を許可していません",
            Self::Pooler => {
                "データベースではなくプーラーが応答しています。`host` と `port` にサーバー自体を指定してください"
            }
            Self::Foreign(state) => {
                return format!(
                    "サーバーがセッションの最初の文を拒否しました（SQLSTATE {state}）。PostgreSQLではないか、PUBLICにpg_backend_pid()またはcurrent_setting()の実行が許可されていません"
                );
            }
            Self::TooMuch => {
                "サーバーが1つのセッションで1 MiBを超えるデータを送信したため、セッションを終了しました（RELATCH_TEST_QUERYの結果も含みます）"
            }
            Self::ClearText => {
                "サーバーがパスワードを平文で要求しています（pg_hba.confの `password`、LDAP、PAM、RADIUS。RDSではrds_iamのメンバー）。RELATCH_WEAKEST_LOGINで許可されていません"
            }
            Self::Md5 => {
                "サーバーがパスワードのmd5ハッシュを要求していますが、RELATCH_WEAKEST_LOGINで許可されていません。password_encryptionをscram-sha-256にし、ロールのパスワードを設定し直してください"
            }
            Self::NotAsked => {
                "サーバーがパスワードを要求しなかったため（pg_hba.confの `trust` または `cert`）、ログインは何の証明にもなりません"
            }
            Self::Iterations => {
                "サーバーが100,000回を超えるSCRAMの反復を要求しています。クライアントは拒否します。scram_iterationsを下げ、ロールのパスワードを設定し直してください"
            }
            Self::NoBinding => {
                "サーバーがチャネルバインディングに対応していませんが、RELATCH_CHANNEL_BINDINGで必須とされています"
            }
            Self::Impostor => {
                "サーバーがパスワードを知っていることを証明しませんでした。別の誰かが応答している可能性があります"
            }
            Self::NoTls => "サーバーがTLSに対応していません。Relatchは平文には切り替えません",
            Self::WrongName => {
                "サーバー証明書が別のホスト用です（期待する名前はシークレットの `sslservername` で指定できます）"
            }
            Self::WrongDate => "サーバー証明書が期限切れか、まだ有効になっていません",
            Self::UnknownAuthority => {
                "サーバー証明書が信頼する認証局の署名ではありません（シークレットの `sslrootcert` またはRELATCH_CA_FILEで認証局を追加できます）"
            }
            Self::OldTls => "サーバーがTLS 1.2以降に対応していません",
            Self::Distrusted => "サーバーのTLSを信頼できません",
            Self::PlaintextForbidden => {
                "シークレットに `\"ssl\": false` とありますが、RELATCH_ALLOW_PLAINTEXTが設定されていません"
            }
            Self::BadAuthority => "`sslrootcert` の認証局がPEM形式の証明書ではありません",
        }
        .to_owned()
    }
}

impl Spoken for RoleProblem {
    fn japanese(&self) -> String {
        match self {
            Self::Missing => "ロールが存在しません",
            Self::NoLogin => "ロールのログインが許可されていません（NOLOGIN）",
            Self::Expired => "ロールのVALID UNTILが過ぎています",
            Self::ConnectionLimit => "ロールの接続数の上限に、新しいパスワードを検証するログインの余地がありません",
            Self::Iam => "ロールはrds_iamのメンバーで、パスワードではなくIAMで認証します",
            Self::ReadOnly => {
                "エンドポイントが読み取り専用です（スタンバイまたはリーダー）。ライターを指定してください"
            }
            Self::NotAlterable => {
                "管理者ユーザーがロールを変更できません。CREATEROLEと、PostgreSQL 16以降ではロールに対するADMINが必要です"
            }
            Self::Privileged => {
                "ロールが自身として、または他のロールのメンバーとして、データ操作以上の権限（superuser、CREATEROLE、REPLICATION、BYPASSRLS、PostgreSQLやRDSの定義済みロール、サーバーの設定や関数）を持ち、シークレットに書き込める人に乗っ取られるおそれがあります。パスワードは手動で設定してください"
            }
            Self::Stranger => {
                "交互に使う2つのロール（`NAME` と `NAME_clone`）のうち、後者が前者のメンバーではないため、対のロールとは認められません。対であれば `GRANT \"NAME\" TO \"NAME_clone\"` を実行してください"
            }
            Self::NotNamed => {
                "ロールを示しているのはシークレットの値だけで、値に書き込める人は任意のロールを指定できます。パスワードを手動で設定するか、シークレットのタグ `relatch:user` にロール名を設定してください"
            }
            Self::Unequal(obstacle) => return obstacle.japanese(),
            Self::Restricted => {
                "rds.restrict_password_commandsによりロール自身はパスワードを変更できず、管理者シークレット（`masterarn`）も指定されていません"
            }
            Self::RefusesVerifiers => {
                "credcheckがハッシュ化済みのパスワードを拒否します。Relatchはパスワードを平文で送信しません。credcheck.encrypted_password_allowedをonにしてください"
            }
            Self::Unreadable(Denial { state, missing }) => {
                let remedy = missing.map_or(String::new(), |right| format!("。`GRANT {right} TO PUBLIC` を実行してください"));
                return format!("ロールの情報を読み取れません（SQLSTATE {state}）{remedy}");
            }
        }
        .to_owned()
    }
}

impl Spoken for HostProblem {
    fn japanese(&self) -> String {
        match self {
            Self::Blank => "`host` に空白または改行が含まれています。ホスト名だけを指定してください",
            Self::Url => {
                "`host` がURLです。ホスト名だけを指定し、ユーザー、ポート、データベースはそれぞれのフィールドに指定してください"
            }
            Self::User => "`host` にユーザー（`@`）が含まれています。ユーザーは `username` に指定してください",
            Self::Path => {
                "`host` にパスまたはオプションが含まれています。データベースは `dbname` に指定してください"
            }
            Self::Brackets => {
                "`host` が角括弧で囲まれています。角括弧なしで指定し、ポートは数値の `port` に指定してください"
            }
            Self::Port => {
                "`host` にポートが含まれています。名前だけを指定し、ポートは数値の `port` に指定してください"
            }
            Self::NotAName => {
                "`host` がホスト名ではありません。英数字、`-`、`_` とドットからなる名前（国際化ドメイン名は `xn--` の形式）、またはアドレスを1つ指定してください"
            }
        }
        .to_owned()
    }
}

impl Spoken for Obstacle {
    fn japanese(&self) -> String {
        match self {
            Self::Creation => "管理者ユーザーが交代用ユーザーを作成できません。CREATEROLEが必要です".to_owned(),
            Self::Attribute(attribute) => format!(
                "管理者ユーザーが交代用ユーザーを元のユーザーと同じ{attribute}にできません。管理者ユーザー自身にその属性が必要です。またはスーパーユーザーがALTER ROLEで設定してください"
            ),
            Self::Model(name) => format!(
                "管理者ユーザーが交代用ユーザーを{name}のメンバーにできません。スーパーユーザーとして、管理者ユーザーに対してGRANT {name} … WITH ADMIN OPTIONを実行してください"
            ),
            Self::Group(name) => format!(
                "交代用ユーザー自身が{name}のメンバーであるか、それを付与でき、管理者ユーザーがそれを取り消せません。スーパーユーザーとして、交代用ユーザーからREVOKE {name}を実行してください（PostgreSQL 16以降では、pg_auth_membersにあるとおりGRANTED BYを付けて）"
            ),
            Self::Setting(name) => format!(
                "管理者ユーザーが設定{name}を交代用ユーザーに設定も解除もできません。スーパーユーザーとして、管理者ユーザーに対してGRANT SET ON PARAMETER {name}を実行するか（PostgreSQL 15以降）、両方のユーザーに手動で設定または解除してください"
            ),
        }
    }
}

impl Spoken for Problem {
    fn japanese(&self) -> String {
        match self {
            Self::Binary => "JSONのテキストではなくバイナリです".to_owned(),
            Self::NotJson => "JSONではありません".to_owned(),
            Self::NotAnObject => "JSONですがオブジェクトではありません".to_owned(),
            Self::Missing(field) => format!("フィールド `{field}` がありません"),
            Self::NotText(field) => format!("フィールド `{field}` がテキストではありません"),
            Self::Empty(field) => format!("フィールド `{field}` が空です"),
            Self::Twice(field) => {
                format!(
                    "フィールド `{field}` が重複しており、どちらが使われるかは読み手によって異なります。片方だけを残してください"
                )
            }
            Self::Host(problem) => problem.japanese(),
            Self::WrongEngine => "engineが `postgres` でも `aurora-postgresql` でもありません".to_owned(),
            Self::WrongPort => "`port` は引用符なしの1から65535までの数値でなければなりません".to_owned(),
            Self::NullDatabase => {
                "`dbname` がnullです。`postgres` に接続する場合は省略し、それ以外はデータベース名を指定してください"
                    .to_owned()
            }
            Self::LongUsername => "`username` がPostgreSQLの名前の上限を超えています".to_owned(),
        }
    }
}
